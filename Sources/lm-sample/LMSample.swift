import ArgumentParser
import CommandSupport
import Eval
import Foundation
import LMData
import Tensor
import Tokenize

@main
struct LMSample: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lm-sample",
    abstract: "Let a trained model continue a prompt, or write whole sentences.",
    discussion: """
      Samples go to standard output, one a line, each the prompt and its
      continuation; everything else goes to standard error. A sample ends
      where the model closes the sentence, or after --max-pieces. The same
      seed gives the same text: sample n depends on --seed and n alone, not
      on --count or --threads.

      Without --prompt, a prompt is read from standard input if that is a pipe
      or a file. An empty prompt samples whole sentences.

      Sampling divides the logits by --temperature, then keeps the --top-k
      most probable pieces, of these the fewest that together reach --top-p,
      and of these the ones at least --min-p times as probable as the best.
      <s>, <unk> and line breaks are never sampled.

      EXAMPLES

        lm-sample --checkpoint checkpoints/first --count 5
        lm-sample --checkpoint checkpoints/first --temperature 0.8 \\
          --prompt "The president said"
        lm-sample --checkpoint checkpoints/first --temperature 0 --stream \\
          --prompt "The king"
        echo "Shares of" | lm-sample --checkpoint checkpoints/first --top-p 0.9
      """)

  @Option(
    help: ArgumentHelp(
      "Run folder, whose newest checkpoint is taken, or one checkpoint of it.", valueName: "run"))
  var checkpoint: String

  @Option(
    help: ArgumentHelp(
      "One line of text to continue (standard input, if it is a pipe or a file).",
      valueName: "text"))
  var prompt: String?

  @Option(help: "Number of samples.")
  var count = 1

  @Option(help: "Pieces after which a sample is cut off.")
  var maxPieces = 100

  @Option(help: "Divides the logits; 0 takes the most probable piece always.")
  var temperature = 1.0

  @Option(help: "Most probable pieces to choose from; 0 for all.")
  var topK = 0

  @Option(help: "Choose from the fewest most probable pieces that reach this probability.")
  var topP = 1.0

  @Option(help: "Drop pieces less probable than this part of the most probable one.")
  var minP = 0.0

  @Option(help: "Seed of the samples.")
  var seed: UInt64 = 1

  @Flag(help: "Print pieces as they are sampled; for one sample.")
  var stream = false

  @Option(help: "Threads; results do not depend on them (all processors).")
  var threads: Int?

  static func main() { runCommand() }

  private var options: SamplingOptions {
    var options = SamplingOptions()
    options.temperature = temperature
    options.topK = topK
    options.topP = topP
    options.minP = minP
    return options
  }

  func validate() throws {
    if let threads, threads < 1 {
      throw ValidationError("--threads is \(threads), expected 1 or more")
    }
    guard count >= 1 else { throw ValidationError("--count is \(count), expected 1 or more") }
    guard maxPieces >= 1 else {
      throw ValidationError("--max-pieces is \(maxPieces), expected 1 or more")
    }
    if stream, count > 1 { throw ValidationError("--stream prints one sample; leave out --count") }
    do { try options.validate() } catch { throw ValidationError("--\(error)") }
  }

  func run() throws {
    if let threads { Parallel.threads = threads }
    let trained = try TrainedModel(checkpoint, verifyingWeights: false)
    let weights = WeightCheck(trained)
    let tokenizer = try SentencePieceModel(
      serialized: trained.tokenizer, path: trained.tokenizerPath)
    try trained.check(vocabularySize: tokenizer.vocabularySize, special: tokenizer.special)
    let pieces = tokenizer.pieceTable()
    let line = try Prompt.line(of: try prompt.map { Array($0.utf8) } ?? Self.pipedInput())
    // The tables of an encoder are made only for a prompt that needs them.
    let ids =
      line.isEmpty
      ? []
      : try LineEncoder(model: tokenizer, cacheSlots: 1 << 10).encode(line, name: "the prompt")
    if line.last == UInt8(ascii: " ") {
      Terminal.note("lm-sample: the prompt ends with a space, which the next word brings itself")
    }
    let sampler = try Sampler(
      options, seed: seed, vocabulary: tokenizer.vocabularySize,
      excluded: Prompt.neverSampled(pieces, special: tokenizer.special))
    let generator = Generator(model: trained.model, sampler: sampler, maximumPieces: maxPieces)
    if stream {
      try printAsSampled(generator, prompt: ids, pieces: pieces)
    } else {
      try generator.forEachGroup(of: ids, count: count) { samples in
        for sample in samples {
          let text = pieces.decode(ids + sample.ids)
          try Self.put(String(decoding: text, as: UTF8.self) + "\n")
        }
      }
    }
    try weights.finish("what was sampled above came from damaged weights")
  }

  private func printAsSampled(
    _ generator: Generator, prompt: [Int32], pieces: PieceTable
  ) throws {
    var text = TextStream()
    var isFirst = prompt.isEmpty
    // The prompt is echoed at once, but not before it is known to be short enough.
    try generator.check(prompt: prompt)
    try Self.put(text.append(pieces.decode(prompt)))
    _ = try generator.continuations(of: prompt, count: 1) { _, piece in
      let bytes = isFirst ? pieces.decode([piece]) : Array(pieces[piece])
      isFirst = false
      try Self.put(text.append(bytes))
    }
    try Self.put(text.finish() + "\n")
  }

  /// Standard input where somebody has put a prompt there, otherwise nothing.
  private static func pipedInput() throws -> [UInt8] {
    var status = stat()
    guard fstat(STDIN_FILENO, &status) == 0,
      [S_IFIFO, S_IFREG].contains(status.st_mode & S_IFMT)
    else { return [] }
    guard let data = try FileHandle.standardInput.readToEnd() else { return [] }
    return Array(data)
  }

  /// Writes to standard output at once; a reader that has gone away ends the program quietly.
  private static func put(_ text: String) throws {
    guard !text.isEmpty else { return }
    do {
      try FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
    } catch {
      let code = errno
      if code == EPIPE { throw ExitCode.success }
      throw CommandError("could not write standard output: \(String(cString: strerror(code)))")
    }
  }
}
