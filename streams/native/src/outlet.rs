//! The way into Kafka: a transactional producer that takes whole batches.

use std::collections::HashMap;
use std::ffi::{c_void, CStr, CString};
use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::exceptions::{PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyList;

use crate::batch::{Batch, Message};
use crate::librdkafka::{Delivered, Handle, KafkaFailure, Librdkafka, Producer, Topic, QUEUE_FULL};
use crate::text::hex16;

const POSITION: &CStr = c"tr-pos";
const HASH: &CStr = c"tr-hash";
const SCHEMA: &CStr = c"tr-schema";
const POSITION_DIGITS: usize = 19;
/// Records between two looks at what was delivered.
const LOOK_EVERY: usize = 1000;
/// Milliseconds that a full queue is given to drain before it is tried again.
const DRAIN_MS: i32 = 100;

/// (code, text, whether nothing more can be written).
type Told = (i32, String, bool);

/// What was delivered since it was last asked: the end by (topic's handle, partition); and the first failure.
#[derive(Default)]
struct Deliveries {
    ends: HashMap<(usize, i32), i64>,
    failed: Option<i32>,
}

/// Deliveries are only told while the producer is polled, but a lock costs little and asks for no promise.
#[derive(Default)]
struct Shared(Mutex<Deliveries>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Deliveries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

unsafe extern "C" fn on_delivery(_: Handle, message: *const Delivered, opaque: *mut c_void) {
    // SAFETY: the library hands us a message that lives through this call, and the pointer that `Outlet::new` gave it,
    // whose box outlives the producer.
    let (message, shared) = unsafe { (&*message, &*opaque.cast::<Shared>()) };
    let mut deliveries = shared.lock();
    if message.err != 0 {
        deliveries.failed.get_or_insert(message.err);
    } else if message.offset >= 0 {
        deliveries.ends.insert((message.topic as usize, message.partition), message.offset + 1);
    }
}

/// What a layout's records have in common.
struct Shown {
    topic: Topic,
    fingerprint: Vec<u8>,
}

/// A transactional producer. For one thread at a time. What fails is returned as (code, text, fatal), not raised.
#[pyclass(module = "tailrace_native")]
pub struct Outlet {
    producer: Option<Producer>, // dropped before `shared`, which it points to
    shared: Box<Shared>,
    topics: HashMap<String, Topic>,
    layouts: HashMap<u32, Shown>,
}

#[pymethods]
impl Outlet {
    /// `library` is the path of librdkafka, `settings` are in its own words.
    #[new]
    fn new(library: &str, settings: Vec<(String, String)>) -> PyResult<Outlet> {
        let shared = Box::<Shared>::default();
        let opaque = std::ptr::from_ref::<Shared>(&shared).cast_mut().cast::<c_void>();
        let library = Librdkafka::load(library).map_err(PyRuntimeError::new_err)?;
        let producer = Producer::new(library, &settings, on_delivery, opaque).map_err(PyValueError::new_err)?;
        Ok(Outlet { producer: Some(producer), shared, topics: HashMap::new(), layouts: HashMap::new() })
    }

    fn init(&self, py: Python<'_>, milliseconds: i32) -> PyResult<Option<Told>> {
        self.called(py, |producer| producer.init_transactions(milliseconds))
    }

    fn begin(&self, py: Python<'_>) -> PyResult<Option<Told>> {
        self.called(py, Producer::begin_transaction)
    }

    fn commit(&self, py: Python<'_>, milliseconds: i32) -> PyResult<Option<Told>> {
        self.called(py, |producer| producer.commit_transaction(milliseconds))
    }

    fn abort(&self, py: Python<'_>, milliseconds: i32) -> PyResult<Option<Told>> {
        self.called(py, |producer| producer.abort_transaction(milliseconds))
    }

    /// Add one record.
    fn produce(
        &mut self,
        py: Python<'_>,
        topic: &str,
        key: &[u8],
        value: Option<&[u8]>,
        headers: Vec<(String, Vec<u8>)>,
    ) -> PyResult<Option<Told>> {
        let topic = match self.topic(topic)? {
            Ok(topic) => topic,
            Err(failure) => return Ok(told(Err(failure))),
        };
        let named = headers.iter().map(|(name, value)| Ok((CString::new(name.as_str())?, &value[..])));
        let named = named.collect::<std::result::Result<Vec<_>, std::ffi::NulError>>()?;
        let headers: Vec<(&CStr, &[u8])> = named.iter().map(|(name, value)| (name.as_c_str(), *value)).collect();
        let shared = &self.shared;
        self.called(py, |producer| patiently(producer, shared, || producer.produce(topic, key, value, &headers)))
    }

    /// Say where the records of a layout go, and what their `tr-schema` is.
    fn show(&mut self, layout: u32, topic: &str, fingerprint: Vec<u8>) -> PyResult<Option<Told>> {
        match self.topic(topic)? {
            Ok(topic) => {
                self.layouts.insert(layout, Shown { topic, fingerprint });
                Ok(None)
            }
            Err(failure) => Ok(told(Err(failure))),
        }
    }

    fn knows(&self, layout: u32) -> bool {
        self.layouts.contains_key(&layout)
    }

    /// Add a batch's records, but for those with the indexes in `leave_out`, which are in order.
    fn send(&self, py: Python<'_>, batch: &Batch, leave_out: Vec<usize>) -> PyResult<Option<Told>> {
        if batch.layouts.iter().any(|layout| !self.layouts.contains_key(layout)) {
            return Err(PyValueError::new_err("a batch has a layout that was not shown"));
        }
        self.called(py, |producer| {
            for (index, message) in batch.messages.iter().enumerate() {
                if leave_out.binary_search(&index).is_err() {
                    patiently(producer, &self.shared, || self.add(producer, batch, message))?;
                }
                if index % LOOK_EVERY == 0 {
                    producer.poll(0);
                }
            }
            producer.poll(0);
            Ok(())
        })
    }

    /// Wait until everything is delivered; whether it was.
    fn flush(&self, py: Python<'_>, milliseconds: i32) -> PyResult<bool> {
        let producer = self.producer()?;
        Ok(py.detach(|| producer.flush(milliseconds)))
    }

    /// The first delivery that failed.
    fn failed(&self) -> PyResult<Option<Told>> {
        let failed = self.shared.lock().failed;
        let producer = self.producer()?;
        Ok(failed.and_then(|code| told(Err(producer.described(code)))))
    }

    /// What was delivered since this was last asked: (topic, partition, offset behind the last record).
    fn ends<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let producer = self.producer()?;
        let ends = std::mem::take(&mut self.shared.lock().ends);
        let told = ends.iter().map(|(&(topic, partition), &end)| (producer.name(topic as *mut c_void), partition, end));
        PyList::new(py, told.collect::<Vec<_>>())
    }

    /// Drop what is not delivered, and the producer.
    fn close(&mut self, py: Python<'_>) {
        if let Some(producer) = self.producer.take() {
            let topics: Vec<Topic> = self.topics.drain().map(|(_, topic)| topic).collect();
            py.detach(|| {
                producer.purge();
                producer.flush(1000);
                for topic in topics {
                    producer.destroy_topic(topic);
                }
                drop(producer);
            });
        }
    }
}

impl Outlet {
    fn producer(&self) -> PyResult<&Producer> {
        self.producer.as_ref().ok_or_else(|| PyRuntimeError::new_err("the outlet is closed"))
    }

    fn called(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&Producer) -> Result<(), KafkaFailure> + Send,
    ) -> PyResult<Option<Told>> {
        let producer = self.producer()?;
        Ok(told(py.detach(|| call(producer))))
    }

    fn topic(&mut self, name: &str) -> PyResult<Result<Topic, KafkaFailure>> {
        if let Some(&topic) = self.topics.get(name) {
            return Ok(Ok(topic));
        }
        let made = self.producer()?.topic(name);
        if let Ok(topic) = made {
            self.topics.insert(name.to_owned(), topic);
        }
        Ok(made)
    }

    fn add(&self, producer: &Producer, batch: &Batch, message: &Message) -> Result<(), KafkaFailure> {
        let shown = &self.layouts[&message.layout];
        let mut position = [b'0'; POSITION_DIGITS];
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(message.position).as_bytes();
        position[POSITION_DIGITS - digits.len().min(POSITION_DIGITS)..].copy_from_slice(digits);
        let key = &batch.data[message.key.clone()];
        let value = message.value.clone().map(|range| &batch.data[range]);
        let hash = hex16(message.hash);
        let headers = [(POSITION, &position[..]), (HASH, &hash[..]), (SCHEMA, &shown.fingerprint[..])];
        producer.produce(shown.topic, key, value, &headers)
    }
}

/// Again for as long as the local queue is full and what is in it is being delivered.
fn patiently(
    producer: &Producer,
    shared: &Shared,
    mut produce: impl FnMut() -> Result<(), KafkaFailure>,
) -> Result<(), KafkaFailure> {
    loop {
        match produce() {
            Err(failure) if failure.code == QUEUE_FULL => {
                producer.poll(DRAIN_MS);
                if let Some(code) = shared.lock().failed {
                    return Err(producer.described(code));
                }
            }
            done => return done,
        }
    }
}

fn told(done: Result<(), KafkaFailure>) -> Option<Told> {
    done.err().map(|failure| (failure.code, failure.what, failure.fatal))
}
