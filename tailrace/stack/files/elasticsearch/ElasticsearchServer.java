import java.nio.file.Path;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * The stock server node, with the modules and plugins below its home. Arguments: home, data folder, configuration folder,
 * HTTP port, transport port. It asks nobody for a password: security is no part of what Maven has.
 */
public class ElasticsearchServer {
    private static final String NAME = "one";

    public static void main(String[] arguments) throws Exception {
        Settings settings = Settings.builder()
                .put("path.home", arguments[0])
                .put("path.data", arguments[1])
                .put("path.logs", arguments[2] + "/logs")
                .put("cluster.name", "tailrace")
                .put("node.name", NAME)
                .put("discovery.type", "single-node")
                .put("network.host", "127.0.0.1")
                .put("http.port", arguments[3])
                .put("transport.port", arguments[4])
                // A full disk is for whoever watches it; a server that stops taking writes at 95 % of a shared one is no help.
                .put("cluster.routing.allocation.disk.threshold_enabled", false)
                .build();
        LogConfigurator.setNodeName(NAME);
        LogConfigurator.configureESLogging();
        LogConfigurator.configureWithoutConfig(settings);
        Environment environment = InternalSettingsPreparer.prepareEnvironment(
                settings, Map.of(), Path.of(arguments[2]), () -> NAME);
        PluginsLoader plugins = PluginsLoader.createPluginsLoader(
                PluginsLoader.loadModulesBundles(environment.modulesDir(), false),
                PluginsLoader.loadPluginsBundles(environment.pluginsDir(), false),
                Map.of(),
                false); // the server itself comes from the class path
        Node node = new Node(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();
        Thread.currentThread().join();
    }

    private static void close(Node node) {
        try {
            node.close();
        } catch (Exception failed) {
            failed.printStackTrace();
        }
    }
}
