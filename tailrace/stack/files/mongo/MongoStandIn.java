import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import java.util.List;

/** A stand-in that speaks MongoDB's wire protocol and keeps its data in a file. Arguments: port, file. */
public class MongoStandIn {
    /** Drivers ask for wire version 9 at least; the library's newest claims 8. */
    private static final MongoVersion CLAIMED = new MongoVersion() {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(5, 0, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 9;
        }
    };

    public static void main(String[] arguments) throws Exception {
        H2Backend backend = new H2Backend(arguments[1]);
        backend.version(CLAIMED);
        MongoServer server = new MongoServer(backend);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
        Thread.currentThread().join();
    }
}
