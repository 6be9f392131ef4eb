import java.io.IOException;
import java.util.Collection;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.function.Predicate;
import java.util.function.Supplier;
import java.util.function.UnaryOperator;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.Tokenizer;
import org.apache.lucene.analysis.cjk.CJKAnalyzer;
import org.apache.lucene.analysis.core.LowerCaseFilter;
import org.apache.lucene.analysis.en.EnglishAnalyzer;
import org.apache.lucene.analysis.miscellaneous.ASCIIFoldingFilter;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.analysis.tokenattributes.OffsetAttribute;
import org.apache.lucene.analysis.tokenattributes.TypeAttribute;
import org.elasticsearch.cluster.node.DiscoveryNodes;
import org.elasticsearch.features.NodeFeature;
import org.elasticsearch.index.analysis.AbstractIndexAnalyzerProvider;
import org.elasticsearch.index.analysis.AnalyzerProvider;
import org.elasticsearch.index.analysis.TokenFilterFactory;
import org.elasticsearch.index.analysis.TokenizerFactory;
import org.elasticsearch.indices.analysis.AnalysisModule.AnalysisProvider;
import org.elasticsearch.plugins.ActionPlugin;
import org.elasticsearch.plugins.AnalysisPlugin;
import org.elasticsearch.plugins.Plugin;
import org.elasticsearch.rest.RestHandler;
import org.wltea.analyzer.core.IKSegmenter;
import org.wltea.analyzer.core.Lexeme;

/** What the distribution has in modules that Maven lacks: `GET /`, and the analyzers ik_max_word, ik_smart, cjk, english. */
public class Analyzers extends Plugin implements AnalysisPlugin, ActionPlugin {
    @Override
    public Collection<RestHandler> getRestHandlers(
            RestHandlersServices services, Supplier<DiscoveryNodes> nodes, Predicate<NodeFeature> feature) {
        return List.of(new RootHandler());
    }

    @Override
    public Map<String, AnalysisProvider<AnalyzerProvider<? extends Analyzer>>> getAnalyzers() {
        return Map.of(
                "ik_max_word", analyzer(() -> ik(false)),
                "ik_smart", analyzer(() -> ik(true)),
                "cjk", analyzer(CJKAnalyzer::new),
                "english", analyzer(EnglishAnalyzer::new));
    }

    @Override
    public Map<String, AnalysisProvider<TokenizerFactory>> getTokenizers() {
        return Map.of("ik_max_word", tokenizer(false), "ik_smart", tokenizer(true));
    }

    @Override
    public Map<String, AnalysisProvider<TokenFilterFactory>> getTokenFilters() {
        return Map.of("lowercase", filter(LowerCaseFilter::new), "asciifolding", filter(ASCIIFoldingFilter::new));
    }

    private static AnalysisProvider<AnalyzerProvider<? extends Analyzer>> analyzer(Supplier<Analyzer> made) {
        return (index, environment, name, settings) -> {
            Analyzer one = made.get();
            return new AbstractIndexAnalyzerProvider<Analyzer>(name) {
                @Override
                public Analyzer get() {
                    return one;
                }
            };
        };
    }

    private static AnalysisProvider<TokenizerFactory> tokenizer(boolean smart) {
        return (index, environment, name, settings) -> TokenizerFactory.newFactory(name, () -> new IkTokenizer(smart));
    }

    private static AnalysisProvider<TokenFilterFactory> filter(UnaryOperator<TokenStream> made) {
        return (index, environment, name, settings) -> new TokenFilterFactory() {
            @Override
            public String name() {
                return name;
            }

            @Override
            public TokenStream create(TokenStream stream) {
                return made.apply(stream);
            }
        };
    }

    private static Analyzer ik(boolean smart) {
        return new Analyzer() {
            @Override
            protected TokenStreamComponents createComponents(String field) {
                return new TokenStreamComponents(new IkTokenizer(smart));
            }
        };
    }

    /** ik's segmenter over today's Lucene; its own tokenizer is made for an older one. */
    private static final class IkTokenizer extends Tokenizer {
        private final IKSegmenter segmenter;
        private final CharTermAttribute term = addAttribute(CharTermAttribute.class);
        private final OffsetAttribute offset = addAttribute(OffsetAttribute.class);
        private final TypeAttribute type = addAttribute(TypeAttribute.class);
        private int end;

        IkTokenizer(boolean smart) {
            segmenter = new IKSegmenter(input, smart);
        }

        @Override
        public boolean incrementToken() throws IOException {
            clearAttributes();
            Lexeme word = segmenter.next();
            if (word == null) {
                return false;
            }
            term.append(word.getLexemeText().toLowerCase(Locale.ROOT));
            end = word.getEndPosition();
            offset.setOffset(correctOffset(word.getBeginPosition()), correctOffset(end));
            type.setType(word.getLexemeTypeString());
            return true;
        }

        @Override
        public void reset() throws IOException {
            super.reset();
            segmenter.reset(input);
            end = 0;
        }

        @Override
        public void end() throws IOException {
            super.end();
            int last = correctOffset(end);
            offset.setOffset(last, last);
        }
    }
}
