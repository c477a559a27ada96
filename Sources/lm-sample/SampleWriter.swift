import ArgumentParser
import CommandSupport
import Eval
import Foundation
import LMData
import Tokenize

/// Writes samples to standard output, whole or token by token.
final class SampleWriter {
  private let generator: Generator
  private let tokenizer: SentencePieceModel
  private let tokens: TokenTable
  private let stops: StopTexts
  private let asJSON: Bool
  private var encoder: LineEncoder?

  /// - Parameters:
  ///   - generator: Continues prompts, and ends samples at the same texts.
  ///   - tokenizer: Encodes them.
  ///   - tokens: Spells the ids.
  ///   - stops: Texts before which a sample is cut.
  ///   - asJSON: Whether a sample is a JSON object.
  init(
    generator: Generator, tokenizer: SentencePieceModel, tokens: TokenTable,
    stops: StopTexts = StopTexts([]), asJSON: Bool = false
  ) {
    self.stops = stops
    self.asJSON = asJSON
    self.generator = generator
    self.tokenizer = tokenizer
    self.tokens = tokens
  }

  /// The ids of a prompt; the tables of an encoder are made only for one that needs them.
  private func encode(_ prompt: [UInt8], name: String) throws -> [Int32] {
    guard !prompt.isEmpty else { return [] }
    let encoder = encoder ?? LineEncoder(model: tokenizer, cacheSlots: 1 << 10)
    self.encoder = encoder
    return try encoder.encode(prompt, name: name)
  }

  /// Writes `count` samples, one a line.
  ///
  /// - Parameter name: Names the prompt in errors.
  func write(_ prompt: [UInt8], name: String, count: Int) throws {
    let ids = try encode(prompt, name: name)
    let begun = tokens.decode(ids)
    var number = 0
    try generator.forEachGroup(of: ids, count: count) { samples in
      for sample in samples {
        number += 1
        var text = Array(tokens.decode(ids + sample.ids).dropFirst(begun.count))
        if let end = stops.start(in: text) { text.removeSubrange(end...) }
        let line =
          asJSON
          ? SampleLine(prompt: ids, number: number, sample: sample, text: text, tokens: tokens).json
          : String(decoding: begun + text, as: UTF8.self) + "\n"
        try Self.put(line)
      }
    }
  }

  /// Writes one sample as it is drawn; characters of several tokens appear whole.
  ///
  /// - Parameters:
  ///   - number: Number of the sample.
  ///   - isStopped: Asked after every token; the sample ends there.
  func stream(
    _ prompt: [UInt8], name: String, number: Int = 0, isStopped: () -> Bool = { false }
  ) throws {
    struct Stop: Error {}
    let ids = try encode(prompt, name: name)
    var text = TextStream()
    var isFirst = ids.isEmpty
    /// What follows the prompt, and how much of it has been written.
    var drawn: [UInt8] = []
    var written = 0
    // The prompt is echoed at once, but not before it is known to be short enough.
    try generator.check(prompt: ids)
    try Self.put(text.append(tokens.decode(ids)))
    do {
      _ = try generator.continuations(of: ids, count: 1, first: number) { _, token in
        let bytes = isFirst ? tokens.decode([token]) : Array(tokens[token])
        isFirst = false
        drawn += bytes
        // What may be the beginning of a text to stop at waits for the next token.
        let end = stops.start(in: drawn) ?? drawn.count - stops.unfinished(drawn)
        if end > written { try Self.put(text.append(drawn[written..<end])) }
        written = max(written, end)
        if isStopped() { throw Stop() }
      }
    } catch is Stop {}
    let rest = drawn[written..<max(written, stops.start(in: drawn) ?? drawn.count)]
    try Self.put(text.append(rest) + text.finish() + "\n")
  }

  /// Writes to standard output at once; a reader that has gone away ends the program quietly.
  private static func put(_ text: String) throws {
    guard !text.isEmpty else { return }
    print(text, terminator: "")
    let code = StandardStreams.flushOutput()
    if code == EPIPE { throw ExitCode.success }
    guard code == 0 else {
      throw CommandError("could not write standard output: \(String(cString: strerror(code)))")
    }
  }
}
