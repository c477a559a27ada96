import ArgumentParser
import Backends
import CommandSupport
import Deterministic
import Eval
import LMData
import Provenance
import Tensor
import Tokenize

extension LineEnds: ExpressibleByArgument {}

@main
struct LMSample: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lm-sample",
    abstract: "Let a trained model continue a prompt, or write whole sentences.",
    discussion: """
      Samples go to standard output, one a line, each the prompt and its
      continuation; everything else goes to standard error. A sample ends
      where the model closes the sentence, or after --max-tokens. The same
      seed gives the same text: sample n depends on --seed and n alone, not
      on --count or --threads.

      Without --prompt, every line of standard input is a prompt, if that is a
      pipe or a file. On a terminal, without --prompt and --count, lm-sample
      asks for prompts and streams one answer to each: Ctrl-C stops the
      sentence, Ctrl-D leaves. An empty prompt samples whole sentences. The line
      is edited with the arrow keys, Home, End and the keys of a shell (Ctrl-A,
      Ctrl-E, Ctrl-K, Ctrl-U, Ctrl-W); up and down show earlier prompts.

      Sampling applies --repetition-penalty to the tokens that were there
      before, divides the logits by --temperature, then keeps the --top-k
      most probable tokens, of these the fewest that together reach --top-p,
      and of these the ones at least --min-p times as probable as the best.
      <s>, <unk> and line breaks are never sampled. A sample ends before the
      first --stop text that follows the prompt, which is not printed.

      EXAMPLES

        lm-sample --checkpoint checkpoints/first
        lm-sample --checkpoint checkpoints/first --count 5
        lm-sample --checkpoint checkpoints/first --temperature 0.8 \\
          --prompt "The president said"
        lm-sample --checkpoint checkpoints/first --temperature 0 --stream \\
          --prompt "The king"
        lm-sample --checkpoint checkpoints/first --top-p 0.9 < prompts.txt
        lm-sample --checkpoint checkpoints/first --prompt "The king" \\
          --stop . --stop , --repetition-penalty 1.2
        lm-sample --checkpoint checkpoints/first --count 5 --json --logprobs

      JSON

      --json prints an object a line with the keys prompt, sample (from 1, for
      each prompt), continuation and end: sentence, length or stop. --logprobs
      adds the lists tokens and logprobs: ln of the probability that the model
      gives each token, whatever the options of sampling, spelled as lm-eval
      score --per-token does. </s> is among them where it ended the sentence,
      and so are the tokens of a text to stop at.
      """ + ExitStatus.help, version: Program.version)

  @Option(
    help: ArgumentHelp(
      "Run folder, whose newest good checkpoint is taken, RUN/best, or one checkpoint of it.",
      valueName: "run"), completion: .directory)
  var checkpoint: String

  @Option(
    help: ArgumentHelp(
      "One line of text to continue (the lines of standard input, or asked for).",
      valueName: "text"))
  var prompt: String?

  @Option(help: "Number of samples of each prompt. (default: 1)")
  var count: Int?

  @Option(help: "Tokens after which a sample is cut off.")
  var maxTokens = 100

  @Option(help: "Divides the logits; 0 takes the most probable token always.")
  var temperature = 1.0

  @Option(help: "Most probable tokens to choose from; 0 for all.")
  var topK = 0

  @Option(help: "Choose from the fewest most probable tokens that reach this probability.")
  var topP = 1.0

  @Option(help: "Drop tokens less probable than this part of the most probable one.")
  var minP = 0.0

  @Option(
    help: ArgumentHelp(
      "Divides logits above 0, and multiplies those below, of tokens that the prompt or the sample "
        + "has; 1 changes nothing."))
  var repetitionPenalty = 1.0

  @Option(
    help: ArgumentHelp(
      "End a sample before this text; may be given several times.", valueName: "text"))
  var stop: [String] = []

  @Option(help: "What ends a prompt: newline; any: CR LF and CR as well (Windows, old Macs).")
  var lineEnds = LineEnds.newline

  @Option(help: "Seed of the samples.")
  var seed: UInt64 = 1

  @Flag(help: "Print tokens as they are sampled; for one sample.")
  var stream = false

  @Flag(help: "Print one JSON object a sample, one a line.")
  var json = false

  @Flag(help: "Add every token and its log-probability under the model to --json.")
  var logprobs = false

  @Option(
    help: "Threads; results do not depend on them (all processors that this process may use).")
  var threads: Int?

  @Option(
    help: ArgumentHelp(
      "cpu, cuda (the first card), cuda:N, or auto: a card if there is one that works.",
      valueName: "device"),
    completion: .list(["cpu", "cuda", "auto"]))
  var device = "cpu"

  @Flag(help: "List the devices of this machine, then stop.")
  var listDevices = false

  static func main() {
    runCommand(
      answering: ["--list-devices": { Backend.listing }], with: { [("devices", Backend.listing)] })
  }

  private var options: SamplingOptions {
    var options = SamplingOptions()
    options.temperature = temperature
    options.topK = topK
    options.topP = topP
    options.minP = minP
    options.repetitionPenalty = repetitionPenalty
    return options
  }

  func validate() throws {
    if listDevices { throw CleanExit.message(Backend.listing) }
    try ThreadCount.validate(threads)
    if let count, count < 1 {
      throw ValidationError("--count is \(count), expected 1 or more")
    }
    guard maxTokens >= 1 else {
      throw ValidationError("--max-tokens is \(maxTokens), expected 1 or more")
    }
    if stream, count ?? 1 > 1 {
      throw ValidationError("--stream prints one sample; leave out --count")
    }
    if stop.contains("") {
      throw ValidationError("--stop is empty, expected a text before which a sample ends")
    }
    if json, stream {
      throw ValidationError(
        "give --json or --stream, not both: an object is printed once it is whole")
    }
    if logprobs, !json {
      throw ValidationError("--logprobs is a part of --json; give both")
    }
    do { try options.validate() } catch { throw ValidationError("--\(error)") }
  }

  func run() throws {
    Parallel.threads = ThreadCount.resolve(threads, command: "lm-sample")
    let kernels = try Backend.named(device).makeKernels { Terminal.note("lm-sample: note: \($0)") }
    var trained = try TrainedModel(
      checkpoint, on: kernels, verifyingWeights: false,
      rebuiltTokenizer: HuggingFaceTokenizer.rebuilt,
      note: { Terminal.note("lm-sample: \($0)") })
    let weights = WeightCheck(trained)
    let tokenizer = try SentencePieceModel(
      serialized: trained.tokenizer, path: trained.tokenizerPath)
    try trained.fit(vocabularySize: tokenizer.vocabularySize, special: tokenizer.special)
    for note in trained.notes { Terminal.note("lm-sample: \(note)") }
    let tokens = tokenizer.tokenTable()
    let sampler = try Sampler(
      options, seed: seed, vocabulary: trained.rows,
      excluded: trained.neverSampled(tokens, special: tokenizer.special))
    let stops = StopTexts(stop.map { Array($0.utf8) })
    let writer = SampleWriter(
      generator: Generator(
        model: trained.model, sampler: sampler, maximumTokens: maxTokens, stops: stops,
        tokens: tokens, hasLogProbabilities: logprobs),
      tokenizer: tokenizer, tokens: tokens, stops: stops, asJSON: json)
    if let prompt {
      var text = Array(prompt.utf8)
      if try ByteOrderMark.remove(from: &text, name: "the prompt") { Self.noteMark("the prompt") }
      try answer(Prompt.line(of: text), name: "the prompt", with: writer)
    } else if LineReader.holdsText {
      try answerLines(with: writer)
    } else if count == nil, !json, LineReader.isConversation {
      try Conversation(writer: writer).run()
    } else {
      try answer([], name: "the prompt", with: writer)
    }
    try weights.finish("what was sampled above came from damaged weights")
  }

  private func answer(_ prompt: [UInt8], name: String, with writer: SampleWriter) throws {
    if prompt.last == UInt8(ascii: " ") {
      Terminal.note("lm-sample: \(name) ends with a space, which the next word brings itself")
    }
    if prompt.contains(UInt8(ascii: "\r")) {
      Terminal.note(
        "lm-sample: note: \(name) has a carriage return in it, kept as text; --line-ends any takes it "
          + "as the end of a line of standard input")
    }
    if stream {
      try writer.stream(prompt, name: name)
    } else {
      try writer.write(prompt, name: name, count: count ?? 1)
    }
  }

  private static func noteMark(_ name: String) {
    Terminal.note(
      "lm-sample: note: \(name) begins with a byte order mark (U+FEFF), which is passed over")
  }

  /// Every line as it comes; input without a byte is one empty prompt.
  private func answerLines(with writer: SampleWriter) throws {
    var lines = LineReader(endsAtReturns: lineEnds == .any)
    var number = 0
    while var line = try lines.next() {
      number += 1
      if number == 1, try ByteOrderMark.remove(from: &line, name: "standard input") {
        Self.noteMark("standard input")
      }
      try answer(Prompt.line(of: line), name: "line \(number) of the prompts", with: writer)
    }
    if number == 0 { try answer([], name: "the prompt", with: writer) }
  }
}
