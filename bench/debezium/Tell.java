import io.debezium.engine.ChangeEvent;
import io.debezium.engine.DebeziumEngine;
import io.debezium.engine.format.Json;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.connect.storage.MemoryOffsetBackingStore;

/**
 * Debezium's embedded engine, from now on: every record of one database as a line of topic, key and value with tabs
 * between, the value empty for a tombstone. Properties of the engine stand as name=value; `end` is a word in the key or
 * value of the record behind which it stops, `seconds` how long it waits for that.
 */
public class Tell {
  public static void main(String[] words) throws Exception {
    Path history = Files.createTempFile("history", ".dat");
    Files.delete(history);
    Properties p = new Properties();
    p.put("name", "tell");
    p.put("connector.class", "io.debezium.connector.mysql.MySqlConnector");
    p.put("offset.storage", MemoryOffsetBackingStore.class.getName());
    p.put("offset.flush.interval.ms", "60000");
    p.put("schema.history.internal", "io.debezium.storage.file.history.FileSchemaHistory");
    p.put("schema.history.internal.file.filename", history.toString());
    p.put("database.server.id", "9192");
    p.put("database.ssl.mode", "disabled");
    p.put("driver.allowPublicKeyRetrieval", "true");
    p.put("snapshot.mode", "no_data");
    p.put("snapshot.locking.mode", "none");
    p.put("include.schema.changes", "false");
    p.put("provide.transaction.metadata", "true");
    p.put("poll.interval.ms", "20");
    p.put("key.converter.schemas.enable", "false");
    p.put("value.converter.schemas.enable", "false");
    p.put("record.processing.order", "ORDERED");
    for (String word : words) {
      int at = word.indexOf('=');
      p.put(word.substring(0, at), word.substring(at + 1));
    }
    String end = (String) p.remove("end");
    long seconds = Long.parseLong((String) p.remove("seconds"));
    PrintStream out = new PrintStream(new java.io.FileOutputStream(java.io.FileDescriptor.out), true, StandardCharsets.UTF_8);
    CountDownLatch done = new CountDownLatch(1);
    boolean[] failed = {false};
    DebeziumEngine<?> engine =
        DebeziumEngine.create(Json.class)
            .using(p)
            .using(
                (ok, message, error) -> {
                  if (!ok) {
                    System.err.println("engine: " + message + " " + error);
                    failed[0] = true;
                  }
                  done.countDown();
                })
            .notifying(
                (records, committer) -> {
                  for (ChangeEvent<String, String> record : records) {
                    String value = record.value() == null ? "" : record.value();
                    out.println(record.destination() + "\t" + record.key() + "\t" + value);
                    if (value.contains(end)) done.countDown();
                    committer.markProcessed(record);
                  }
                  committer.markBatchFinished();
                })
            .build();
    Executors.newSingleThreadExecutor().execute(engine);
    boolean ended = done.await(seconds, TimeUnit.SECONDS);
    out.flush();
    Runtime.getRuntime().halt(ended && !failed[0] ? 0 : 1);
  }
}
