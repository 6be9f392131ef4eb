import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.HashSet;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.connect.runtime.WorkerConfig;
import org.apache.kafka.connect.storage.MemoryOffsetBackingStore;

/**
 * Debezium's embedded engine reads one table from a binlog file on, into one topic, until `rows` changes are
 * acknowledged. Arguments are name=value. Prints {"rows", "seconds"}: from the first batch to the last, the first
 * one's rows left out.
 */
public class Peer {
  static final Map<String, String> ARGUMENTS = new HashMap<>();

  /** Offsets in memory that begin where we say. */
  public static class Seeded extends MemoryOffsetBackingStore {
    static final Map<ByteBuffer, ByteBuffer> SEED = new HashMap<>();

    @Override
    public void configure(WorkerConfig config) {
      super.configure(config);
      data.putAll(SEED);
    }

    @Override
    public Set<Map<String, Object>> connectorPartitions(String name) {
      return new HashSet<>();
    }
  }

  static ByteBuffer bytes(String text) {
    return ByteBuffer.wrap(text.getBytes(StandardCharsets.UTF_8));
  }

  public static void main(String[] words) throws Exception {
    for (String word : words) {
      int at = word.indexOf('=');
      ARGUMENTS.put(word.substring(0, at), word.substring(at + 1));
    }
    long wanted = Long.parseLong(ARGUMENTS.get("rows"));
    Path history = Files.createTempFile("history", ".dat");
    Files.delete(history);
    Properties p = new Properties();
    p.put("name", "peer");
    p.put("topic.prefix", "peer");
    p.put("connector.class", "io.debezium.connector.mysql.MySqlConnector");
    p.put("offset.storage", Seeded.class.getName());
    p.put("offset.flush.interval.ms", "60000");
    p.put("schema.history.internal", "io.debezium.storage.file.history.FileSchemaHistory");
    p.put("schema.history.internal.file.filename", history.toString());
    p.put("schema.history.internal.store.only.captured.tables.ddl", "true");
    p.put("database.hostname", ARGUMENTS.get("host"));
    p.put("database.port", ARGUMENTS.get("port"));
    p.put("database.user", ARGUMENTS.get("user"));
    p.put("database.password", ARGUMENTS.get("password"));
    p.put("database.server.id", "9191");
    p.put("database.ssl.mode", "disabled");
    p.put("driver.allowPublicKeyRetrieval", "true");
    p.put("database.include.list", ARGUMENTS.get("db"));
    p.put("table.include.list", ARGUMENTS.get("db") + "." + ARGUMENTS.get("table"));
    p.put("snapshot.mode", "recovery");
    p.put("snapshot.locking.mode", "none");
    p.put("include.schema.changes", "false");
    p.put("tombstones.on.delete", "false");
    p.put("decimal.handling.mode", "string");
    p.put("time.precision.mode", "isostring");
    p.put("binary.handling.mode", "base64");
    p.put("max.batch.size", "8192");
    p.put("max.queue.size", "32768");
    p.put("poll.interval.ms", "50");
    p.put("key.converter.schemas.enable", "false");
    p.put("value.converter.schemas.enable", "false");
    p.put("record.processing.order", "ORDERED");
    Seeded.SEED.put(
        bytes("[\"peer\",{\"server\":\"peer\"}]"),
        bytes(
            String.format(
                "{\"transaction_id\":null,\"file\":\"%s\",\"pos\":4,\"gtids\":\"%s\"}",
                ARGUMENTS.get("file"), ARGUMENTS.get("gtids"))));

    Properties k = new Properties();
    k.put("bootstrap.servers", ARGUMENTS.get("boot"));
    k.put("acks", "all");
    k.put("linger.ms", "20");
    k.put("batch.size", "262144");
    k.put("buffer.memory", "67108864");
    k.put("max.request.size", "8388608");
    k.put("compression.type", "lz4");
    if (ARGUMENTS.containsKey("kafkauser")) {
      k.put("security.protocol", "SASL_PLAINTEXT");
      k.put("sasl.mechanism", ARGUMENTS.get("mechanism"));
      k.put(
          "sasl.jaas.config",
          String.format(
              "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"%s\" password=\"%s\";",
              ARGUMENTS.get("kafkauser"), ARGUMENTS.get("kafkapassword")));
    }
    KafkaProducer<String, String> producer =
        new KafkaProducer<>(k, new StringSerializer(), new StringSerializer());
    String topic = ARGUMENTS.get("topic");
    AtomicLong first = new AtomicLong(), last = new AtomicLong(), left = new AtomicLong();
    AtomicLong rows = new AtomicLong(), errors = new AtomicLong();
    CountDownLatch done = new CountDownLatch(1);
    DebeziumEngine<?> engine =
        DebeziumEngine.create(Json.class)
            .using(p)
            .using(
                (ok, message, error) -> {
                  if (!ok) System.err.println("engine: " + message + " " + error);
                  done.countDown();
                })
            .notifying(
                (records, committer) -> {
                  for (ChangeEvent<String, String> record : records)
                    producer.send(
                        new ProducerRecord<>(topic, record.key(), record.value()),
                        (metadata, error) -> {
                          if (error != null) errors.incrementAndGet();
                        });
                  producer.flush();
                  for (ChangeEvent<String, String> record : records) committer.markProcessed(record);
                  committer.markBatchFinished();
                  if (first.compareAndSet(0, System.nanoTime())) left.set(records.size());
                  last.set(System.nanoTime());
                  if (rows.addAndGet(records.size()) >= wanted) done.countDown();
                })
            .build();
    Executors.newSingleThreadExecutor().execute(engine);
    done.await(Long.parseLong(ARGUMENTS.get("timeout")), TimeUnit.SECONDS);
    System.out.printf(
        Locale.ROOT,
        "{\"rows\": %d, \"seconds\": %.3f, \"errors\": %d}%n",
        rows.get() - left.get(), (last.get() - first.get()) / 1e9, errors.get());
    System.out.flush();
    Runtime.getRuntime().halt(rows.get() >= wanted && errors.get() == 0 ? 0 : 1);
  }
}
