//! The few functions of librdkafka that a transactional producer takes, out of the very library that
//! `confluent_kafka` has loaded. Signatures and numbers are those of its `rdkafka.h`.

use std::ffi::{c_char, c_int, c_void, CStr, CString};
use std::ptr;

use libloading::Library;

pub type Handle = *mut c_void;

/// `rd_kafka_message_t`
#[repr(C)]
pub struct Delivered {
    pub err: c_int,
    pub topic: *mut c_void,
    pub partition: i32,
    pub payload: *mut c_void,
    pub size: usize,
    pub key: *mut c_void,
    pub key_size: usize,
    pub offset: i64,
    private: *mut c_void,
}

/// `rd_kafka_vu_t`: one argument of `produceva`, by its type.
#[repr(C)]
pub struct Argument {
    kind: c_int,
    value: Value,
}

#[repr(C)]
union Value {
    pointer: *mut c_void,
    bytes: Bytes,
    number: c_int,
    header: Header,
    padding: [u64; 8],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Bytes {
    pointer: *const c_void,
    size: usize,
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Header {
    name: *const c_char,
    value: *const c_void,
    size: isize,
}

const TOPIC_HANDLE: c_int = 2;
const VALUE: c_int = 4;
const KEY: c_int = 5;
const FLAGS: c_int = 7;
const HEADER: c_int = 9;
/// The library copies key and value, and returns an error where its queue is full.
const COPY: c_int = 2;
const PRODUCER: c_int = 0;
/// The local queue is full.
pub const QUEUE_FULL: c_int = -184;

impl Argument {
    fn new(kind: c_int, value: Value) -> Argument {
        Argument { kind, value }
    }

    pub fn topic(topic: *mut c_void) -> Argument {
        Argument::new(TOPIC_HANDLE, Value { pointer: topic })
    }

    pub fn key(key: &[u8]) -> Argument {
        Argument::new(KEY, Value { bytes: Bytes { pointer: key.as_ptr().cast(), size: key.len() } })
    }

    /// `None`: a tombstone.
    pub fn value(value: Option<&[u8]>) -> Argument {
        let bytes = match value {
            Some(value) => Bytes { pointer: value.as_ptr().cast(), size: value.len() },
            None => Bytes { pointer: ptr::null(), size: 0 },
        };
        Argument::new(VALUE, Value { bytes })
    }

    pub fn header(name: &CStr, value: &[u8]) -> Argument {
        let header = Header { name: name.as_ptr(), value: value.as_ptr().cast(), size: value.len() as isize };
        Argument::new(HEADER, Value { header })
    }

    pub fn copied() -> Argument {
        Argument::new(FLAGS, Value { number: COPY })
    }
}

/// What the library said went wrong.
#[derive(Debug, Clone)]
pub struct KafkaFailure {
    pub code: i32,
    pub what: String,
    pub fatal: bool,
}

pub type OnDelivery = unsafe extern "C" fn(Handle, *const Delivered, *mut c_void);

macro_rules! functions {
    ($($name:ident: $type:ty = $symbol:literal;)*) => {
        /// The loaded library.
        pub struct Librdkafka { $($name: $type,)* _library: Library }

        impl Librdkafka {
            /// Open the library at `path`.
            pub fn load(path: &str) -> std::result::Result<Librdkafka, String> {
                // SAFETY: it is loaded already by `confluent_kafka`, so nothing runs that has not run before; each symbol
                // has the signature that the public header gives it.
                unsafe {
                    let library = Library::new(path).map_err(|error| error.to_string())?;
                    Ok(Librdkafka {
                        $($name: *library.get::<$type>($symbol).map_err(|error| error.to_string())?,)*
                        _library: library,
                    })
                }
            }
        }
    };
}

functions! {
    conf_new: unsafe extern "C" fn() -> *mut c_void = b"rd_kafka_conf_new\0";
    conf_set: unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char, *mut c_char, usize) -> c_int
        = b"rd_kafka_conf_set\0";
    conf_destroy: unsafe extern "C" fn(*mut c_void) = b"rd_kafka_conf_destroy\0";
    conf_set_opaque: unsafe extern "C" fn(*mut c_void, *mut c_void) = b"rd_kafka_conf_set_opaque\0";
    conf_set_dr_msg_cb: unsafe extern "C" fn(*mut c_void, OnDelivery) = b"rd_kafka_conf_set_dr_msg_cb\0";
    new: unsafe extern "C" fn(c_int, *mut c_void, *mut c_char, usize) -> Handle = b"rd_kafka_new\0";
    destroy: unsafe extern "C" fn(Handle) = b"rd_kafka_destroy\0";
    topic_new: unsafe extern "C" fn(Handle, *const c_char, *mut c_void) -> *mut c_void = b"rd_kafka_topic_new\0";
    topic_name: unsafe extern "C" fn(*const c_void) -> *const c_char = b"rd_kafka_topic_name\0";
    topic_destroy: unsafe extern "C" fn(*mut c_void) = b"rd_kafka_topic_destroy\0";
    produceva: unsafe extern "C" fn(Handle, *const Argument, usize) -> *mut c_void = b"rd_kafka_produceva\0";
    poll: unsafe extern "C" fn(Handle, c_int) -> c_int = b"rd_kafka_poll\0";
    flush: unsafe extern "C" fn(Handle, c_int) -> c_int = b"rd_kafka_flush\0";
    purge: unsafe extern "C" fn(Handle, c_int) -> c_int = b"rd_kafka_purge\0";
    init_transactions: unsafe extern "C" fn(Handle, c_int) -> *mut c_void = b"rd_kafka_init_transactions\0";
    begin_transaction: unsafe extern "C" fn(Handle) -> *mut c_void = b"rd_kafka_begin_transaction\0";
    commit_transaction: unsafe extern "C" fn(Handle, c_int) -> *mut c_void = b"rd_kafka_commit_transaction\0";
    abort_transaction: unsafe extern "C" fn(Handle, c_int) -> *mut c_void = b"rd_kafka_abort_transaction\0";
    error_code: unsafe extern "C" fn(*const c_void) -> c_int = b"rd_kafka_error_code\0";
    error_string: unsafe extern "C" fn(*const c_void) -> *const c_char = b"rd_kafka_error_string\0";
    error_is_fatal: unsafe extern "C" fn(*const c_void) -> c_int = b"rd_kafka_error_is_fatal\0";
    error_destroy: unsafe extern "C" fn(*mut c_void) = b"rd_kafka_error_destroy\0";
    err2str: unsafe extern "C" fn(c_int) -> *const c_char = b"rd_kafka_err2str\0";
}

/// Drop what is queued and what is on its way: `RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT`.
const EVERYTHING: c_int = 3;

/// One producer. Its methods take milliseconds, and may wait.
pub struct Producer {
    library: Librdkafka,
    handle: Handle,
}

// SAFETY: librdkafka's handles may be used from any thread.
unsafe impl Send for Producer {}
unsafe impl Sync for Producer {}

/// One topic of a producer, known by its handle.
#[derive(Clone, Copy)]
pub struct Topic(*mut c_void);

// SAFETY: as above.
unsafe impl Send for Topic {}
unsafe impl Sync for Topic {}

impl Producer {
    /// `opaque` is handed to `on_delivery` as it is, and must live as long as the producer.
    pub fn new(
        library: Librdkafka,
        settings: &[(String, String)],
        on_delivery: OnDelivery,
        opaque: *mut c_void,
    ) -> std::result::Result<Producer, String> {
        let mut reason = [0 as c_char; 512];
        let told = |reason: &[c_char; 512]| {
            // SAFETY: the library ends what it writes there with a zero.
            unsafe { CStr::from_ptr(reason.as_ptr()) }.to_string_lossy().into_owned()
        };
        // SAFETY: the calls are in the order that the header asks for; `conf` belongs to the handle once there is one.
        unsafe {
            let conf = (library.conf_new)();
            for (name, value) in settings {
                let name = CString::new(name.as_str()).map_err(|error| error.to_string())?;
                let value = CString::new(value.as_str()).map_err(|error| error.to_string())?;
                if (library.conf_set)(conf, name.as_ptr(), value.as_ptr(), reason.as_mut_ptr(), reason.len()) != 0 {
                    (library.conf_destroy)(conf);
                    return Err(told(&reason));
                }
            }
            (library.conf_set_opaque)(conf, opaque);
            (library.conf_set_dr_msg_cb)(conf, on_delivery);
            let handle = (library.new)(PRODUCER, conf, reason.as_mut_ptr(), reason.len());
            if handle.is_null() {
                (library.conf_destroy)(conf);
                return Err(told(&reason));
            }
            Ok(Producer { library, handle })
        }
    }

    pub fn topic(&self, name: &str) -> Result<Topic, KafkaFailure> {
        let unknown = || KafkaFailure { code: -186, what: format!("no topic can be named `{name}`"), fatal: false };
        let text = CString::new(name).map_err(|_| unknown())?;
        // SAFETY: the handle lives, and the name is copied.
        let topic = unsafe { (self.library.topic_new)(self.handle, text.as_ptr(), ptr::null_mut()) };
        if topic.is_null() {
            Err(unknown())
        } else {
            Ok(Topic(topic))
        }
    }

    pub fn destroy_topic(&self, topic: Topic) {
        // SAFETY: made by `topic`, and not used behind this.
        unsafe { (self.library.topic_destroy)(topic.0) }
    }

    /// The name of the topic of a delivered message.
    pub fn name(&self, topic: *mut c_void) -> String {
        // SAFETY: the pointer comes with a message that is being delivered.
        unsafe { CStr::from_ptr((self.library.topic_name)(topic)) }.to_string_lossy().into_owned()
    }

    pub fn produce(
        &self,
        topic: Topic,
        key: &[u8],
        value: Option<&[u8]>,
        headers: &[(&CStr, &[u8])],
    ) -> Result<(), KafkaFailure> {
        let mut arguments = Vec::with_capacity(4 + headers.len());
        arguments.extend([Argument::topic(topic.0), Argument::key(key), Argument::value(value), Argument::copied()]);
        arguments.extend(headers.iter().map(|&(name, value)| Argument::header(name, value)));
        // SAFETY: every pointer outlives the call, which copies what it needs.
        self.checked(unsafe { (self.library.produceva)(self.handle, arguments.as_ptr(), arguments.len()) })
    }

    pub fn poll(&self, milliseconds: i32) {
        // SAFETY: the handle lives.
        unsafe { (self.library.poll)(self.handle, milliseconds) };
    }

    /// Whether everything was delivered in time.
    pub fn flush(&self, milliseconds: i32) -> bool {
        // SAFETY: the handle lives.
        unsafe { (self.library.flush)(self.handle, milliseconds) == 0 }
    }

    pub fn purge(&self) {
        // SAFETY: the handle lives.
        unsafe { (self.library.purge)(self.handle, EVERYTHING) };
    }

    pub fn init_transactions(&self, milliseconds: i32) -> Result<(), KafkaFailure> {
        // SAFETY: the handle lives.
        self.checked(unsafe { (self.library.init_transactions)(self.handle, milliseconds) })
    }

    pub fn begin_transaction(&self) -> Result<(), KafkaFailure> {
        // SAFETY: the handle lives.
        self.checked(unsafe { (self.library.begin_transaction)(self.handle) })
    }

    pub fn commit_transaction(&self, milliseconds: i32) -> Result<(), KafkaFailure> {
        // SAFETY: the handle lives.
        self.checked(unsafe { (self.library.commit_transaction)(self.handle, milliseconds) })
    }

    pub fn abort_transaction(&self, milliseconds: i32) -> Result<(), KafkaFailure> {
        // SAFETY: the handle lives.
        self.checked(unsafe { (self.library.abort_transaction)(self.handle, milliseconds) })
    }

    /// What the library calls an error number.
    pub fn described(&self, code: i32) -> KafkaFailure {
        // SAFETY: the text is the library's own and is never freed.
        let what = unsafe { CStr::from_ptr((self.library.err2str)(code)) }.to_string_lossy().into_owned();
        KafkaFailure { code, what, fatal: false }
    }

    fn checked(&self, error: *mut c_void) -> Result<(), KafkaFailure> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: an error object that the library gave us, destroyed here and once.
        unsafe {
            let failure = KafkaFailure {
                code: (self.library.error_code)(error),
                what: CStr::from_ptr((self.library.error_string)(error)).to_string_lossy().into_owned(),
                fatal: (self.library.error_is_fatal)(error) != 0,
            };
            (self.library.error_destroy)(error);
            Err(failure)
        }
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.purge();
        // SAFETY: nothing uses the handle behind this.
        unsafe { (self.library.destroy)(self.handle) };
    }
}
