import Foundation
import Host
import Model
import Tensor
import TestSupport
import Testing

/// The worked example: what the tests of every attention cannot know of a window, and that file and
/// page stay an example.
@Suite struct WindowAttentionTests {
  private static func variant(window: Int, layers: Int) throws -> Variant {
    let attention = try AttentionConfig(parsing: "window:window=\(window)")
    return Variant.make("window", attention, .rotary, layers: layers)
  }

  /// A window as long as the text is full softmax attention, gradients and all.
  @Test(arguments: TestBackend.ofTheProgram) func aWindowOfTheTextIsSoftmax(backend: TestBackend)
    throws
  {
    let text = TinySequences(lengths: [5, 1, 19, 34], vocabulary: 61, seed: 5)
    let variants = [
      Variant.make("softmax", .softmax, .rotary), try Self.variant(window: 34, layers: 2),
    ]
    let gradients = try variants.map { variant in
      let model = try variant.model(on: backend)
      let sums = try model.makeGradients()
      let nats = try model.accumulateGradients(
        ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: 0.02,
        dropout: nil, into: sums)
      return [Float(nats)] + (try sums.numbers())
    }
    let largest = gradients[0].dropFirst().reduce(0) { max($0, abs($1)) }
    let error = zip(gradients[0], gradients[1]).dropFirst().reduce(0) { max($0, abs($1.0 - $1.1)) }
    #expect(error <= 1e-5 * largest, "\(error) of \(largest)")
    #expect(abs(gradients[0][0] - gradients[1][0]) <= 1e-6 * gradients[0][0])
  }

  /// One layer sees a window, each further layer a window more.
  @Test(arguments: TestBackend.ofTheProgram, [1, 2])
  func aTokenIsForgottenBehindTheWindow(backend: TestBackend, layers: Int) throws {
    let (window, length, changed) = (5, 40, 11)
    let model = try Self.variant(window: window, layers: layers).model(on: backend)
    let text = TinySequences(lengths: [length], vocabulary: 61, seed: 6)
    let base = try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
    var ids = text.ids
    ids[changed] = 3 + (ids[changed] + 11) % 50
    let nll = try model.nllNats(ids: ids, targets: text.targets, starts: text.starts)
    let end = changed + layers * (window - 1)
    for position in changed...end {
      #expect(nll[position] != base[position], "position \(position)")
    }
    try backend.expectAlike(nll[(end + 1)...], base[(end + 1)...])
  }

  @Test func workIsThatOfThePairs() throws {
    for window in [1, 5, 64] {
      let mechanism = try Self.variant(window: window, layers: 2).config.mechanism
      for length in [0, 1, 4, 5, 6, 63, 64, 65, 200] {
        let pairs = (0..<length).reduce(0.0) { $0 + Double(min($1 + 1, window)) }
        #expect(mechanism.work(length: length) == AttentionWork(pairs: pairs, width: 24))
      }
    }
  }

  @Test func whatItCannotTakeIsSaid() throws {
    var config = Variant.all[0].config
    for window in [0, 65_537] {
      config.use(try AttentionConfig(parsing: "window:window=\(window)"))
      let error = #expect(throws: ModelError.self) { try config.validate() }
      #expect(error?.description.contains("found window=\(window)") == true)
    }
    config.use(try AttentionConfig(parsing: "window"))
    try config.validate()
    config.position = .relativeBias
    let error = #expect(throws: ModelError.self) { try config.validate() }
    #expect(error?.description.contains("--position relativeBias") == true)
  }

  // MARK: The example

  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path

  private static func text(_ path: String) throws -> String {
    try String(contentsOfFile: root + "/" + path, encoding: .utf8)
  }

  @Test func theExampleStaysSmall() throws {
    let file = try Self.text("Sources/Model/Attention/WindowAttention.swift")
    let lines = file.split(separator: "\n", omittingEmptySubsequences: false).count - 1
    #expect(lines < 150, "\(lines) lines")
  }

  /// Every token of Swift on the page is in a file that it names.
  @Test func thePageQuotesTheFiles() throws {
    let page = try Self.text("docs/adding-an-attention.md")
    let files = try ["WindowAttention", "AttentionConfig"].map {
      try Self.text("Sources/Model/Attention/\($0).swift")
    }
    let quotes = page.components(separatedBy: "```swift\n").dropFirst().compactMap {
      $0.components(separatedBy: "```").first
    }
    #expect(quotes.count >= 5)
    for quote in quotes {
      #expect(files.contains { $0.contains(quote) }, "not in the files: \(quote)")
    }
  }
}
