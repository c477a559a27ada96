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
  private var encoder: LineEncoder?

  init(generator: Generator, tokenizer: SentencePieceModel, tokens: TokenTable) {
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
    try generator.forEachGroup(of: ids, count: count) { samples in
      for sample in samples {
        let text = tokens.decode(ids + sample.ids)
        try Self.put(String(decoding: text, as: UTF8.self) + "\n")
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
    // The prompt is echoed at once, but not before it is known to be short enough.
    try generator.check(prompt: ids)
    try Self.put(text.append(tokens.decode(ids)))
    do {
      _ = try generator.continuations(of: ids, count: 1, first: number) { _, token in
        let bytes = isFirst ? tokens.decode([token]) : Array(tokens[token])
        isFirst = false
        try Self.put(text.append(bytes))
        if isStopped() { throw Stop() }
      }
    } catch is Stop {}
    try Self.put(text.finish() + "\n")
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
