import ArgumentParser
import CommandSupport

/// `lm-eval perplexity`: the figures of one model or several on a text.
struct PerplexityCommand: ParsableCommand, RankedCommand {
  static let configuration = CommandConfiguration(
    commandName: "perplexity",
    abstract: "Measure the perplexity of one model or several on a text.",
    usage: """
      lm-eval perplexity --checkpoint <run> ... --data <dir>
              [--split <split> ...] [<options>]
      lm-eval perplexity --checkpoint <run> ... --text <file> ... [<options>]
      """,
    discussion: """
      Every sentence is scored whole: its tokens and the </s> that closes it,
      given <s>. Word perplexity divides by the words and one </s> a sentence,
      as the benchmark does; token perplexity by the tokens and one </s> a
      sentence; bits per byte by the UTF-8 bytes, one newline a sentence
      included. The standard error is that of the word perplexity, by
      bootstrap over sentences. A model whose attention is a random estimate
      (sampled YOSO) is scored by its expectation and, beside that, as it was
      trained: mean and deviation over --hash-seeds draws.

      EXAMPLES

        lm-eval perplexity --checkpoint checkpoints/first --data data --split test
        lm-eval perplexity --checkpoint checkpoints/first --data data --json
        lm-eval perplexity --checkpoint checkpoints/first --data data \\
          --split test valid heldout
        lm-eval perplexity --checkpoint checkpoints/unk --text news.txt \\
          --vocabulary words.txt
        lm-eval perplexity --checkpoint checkpoints/first checkpoints/second \\
          --data data
        lm-eval perplexity --checkpoint checkpoints/first --data data --paper-line
        lm-eval perplexity --checkpoint checkpoints/first --data data --record
        lm-eval perplexity --checkpoint checkpoints/first/step-00001000 \\
          --text news.txt more.txt.zst

      PARTS OF A TEXT

      --per-file adds one line for every file of --text, and the total.
      --by-frequency DIR adds the perplexity of the tokens that occur never, 1 to
      9 times, 10 to 99 times and so on in the training split of DIR, made with
      the tokenizer of the model; --by-position that of the first token of a
      sentence, the second, the third and fourth, the fifth to eighth and so on.
      </s> is a token. The nats of all bands add up to those of the text.

        lm-eval perplexity --checkpoint checkpoints/first \\
          --text news.txt novel.txt --per-file --by-frequency data --by-position

      LONG TEXTS

      --context stream --length N reads the running text of --data in windows of
      N tokens; --stride S begins a window every S tokens and scores its last S
      alone, so that every token but the first N is scored after at least N - S
      others. The cost grows as N / S.

        lm-eval perplexity --checkpoint checkpoints/first --data data \\
          --context stream --length 1024 --stride 512

      UNKNOWN WORDS

      Without --vocabulary every word is spelt as it is and none is unknown.
      With it, words outside the list become <UNK> and are scored as that one
      word, as n-gram models and the literature do; their number and rate are
      printed. Such a figure can be compared only under the same list, and is
      fair only for a model that was trained on text made with it
      (lm-tokenize --vocabulary): its tokenizer has <UNK> as one token. Other
      models spell <UNK> in tokens that they have not been trained on; the
      output says so. The literature's own file, with <S>, </S> and <UNK> in
      it, is read as it is.

      WITH AN N-GRAM MODEL

      --mix ARPA adds three lines: the word perplexity of the decoder alone, of
      the n-gram model alone, and of both, p = w p(decoder) + (1 - w) p(n-gram)
      for every word and every </s>. ARPA is a file as lmplz of KenLM or
      ngram-count of SRILM writes it, plain, .gz or .zst. The weight w is the
      best one on the split valid of --data, or on the texts of --mix-tune, or
      what --mix-weight says. <UNK> in the text is the <unk> of the model; a
      word outside its vocabulary has its <unk> in the figure of the n-gram
      model alone, as KenLM counts it, and nothing from it in the mixture. The
      other figures, and those of --record, are of the decoder alone.

        lm-eval perplexity --checkpoint checkpoints/first --data data \\
          --mix 5gram.arpa.gz
        lm-eval perplexity --checkpoint checkpoints/first --text news.txt \\
          --mix 5gram.arpa --mix-tune valid.txt

      SEVERAL MODELS

      --checkpoint takes several, and prints a table. Whether two differ by more
      than chance is what lm-eval compare tells.

      SEVERAL PROCESSES

      Started by mpirun, mpiexec or srun, the processes score batches in turn; the
      figures are the same bits as those of one. --mix is for one process alone.

      FIGURES TO KEEP

      --paper-line prints one line with unit, text, counts, context, rule for
      unknown words, parameters and checksums, to be quoted whole. --record
      keeps the figures in evaluations.jsonl of the run, where lm-eval report
      finds them.

      JSON

      --json prints one object with the keys word_perplexity,
      token_perplexity, bits_per_byte, nats, words, tokens, sentences, bytes
      and standard_error, and with a list of words out_of_vocabulary. words
      and tokens are those of the text, WITHOUT </s>; sentences is the number
      of </s>. What is not defined is null. For several models the object has
      the key evaluations. --per-file adds the list files, each with a name and
      the same keys, --by-frequency and --by-position add by_frequency and
      by_position, lists of from, to, tokens, nats and token_perplexity; there
      </s> is among the tokens. --mix adds the object mixture: file, order,
      ngrams, weight, weight_from, unknown_to_ngrams, and decoder, ngram and
      mixed, each with word_perplexity, nats and standard_error.
      """ + Help.texts)

  @Option(parsing: .upToNextOption, help: Help.runs, completion: .directory)
  var checkpoint: [String] = []

  @OptionGroup var text: TextOptions

  @Option(help: Help.vocabulary, completion: .file())
  var vocabulary: String?

  @OptionGroup var window: WindowOptions
  @OptionGroup var breakdown: BreakdownOptions
  @OptionGroup var mix: MixOptions
  @OptionGroup var figures: FigureOptions

  @Flag(help: Help.paperLine)
  var paperLine = false

  @OptionGroup var work: WorkOptions

  func validate() throws {
    try ThreadCount.validate(work.threads)
    guard !checkpoint.isEmpty else {
      throw ValidationError("give the model with --checkpoint RUN")
    }
    if figures.json, paperLine { throw ValidationError("give --json or --paper-line, not both") }
    try text.check(vocabulary: vocabulary)
    try window.check(data: text.data)
    try breakdown.check(text, window, printsPaperLine: paperLine)
    try mix.check(models: checkpoint.count, text, window, printsPaperLine: paperLine)
    try work.check()
    try figures.check()
  }

  func run() throws {
    let communicator = try Ranks.join()
    work.setThreads()
    try Scoring(
      models: checkpoint, text: text, vocabulary: vocabulary, window: window.length,
      stride: window.stride, breakdown: breakdown, mix: mix, figures: figures,
      printsPaperLine: paperLine,
      work: work, communicator: communicator
    ).run()
  }
}
