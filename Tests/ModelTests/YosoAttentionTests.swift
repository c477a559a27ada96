import Backends
import Deterministic
import Host
import Model
import Tensor
import TestSupport
import Testing

/// Options of YOSO attention, its draws and its cost.
struct YosoAttentionTests {
  private func config(_ text: String) throws -> ModelConfig {
    var config = ModelConfig(vocabularySize: 61, width: 24, layers: 1, heads: 3, hidden: 40)
    config.use(try AttentionConfig(parsing: text))
    return config
  }

  @Test func defaults() throws {
    let config = try config("yoso")
    #expect("\(config.attention)" == "yoso:estimate=sampled,hashes=16,bits=8,chunk=64,slope=lower")
    #expect(config.position == .rotary)
    try config.validate()
  }

  @Test(arguments: [
    ("yoso:bits=0", "1 to 16"), ("yoso:bits=17", "1 to 16"), ("yoso:hashes=0", "0 hashes"),
    ("yoso:estimate=hybrid,chunk=0", "chunk"), ("yoso:slope=exact", "estimate=expectation"),
    ("yoso:estimate=guess", "guess"),
  ])
  func refusesWhatIsNoAttention(text: String, word: String) {
    let error = #expect(throws: ModelError.self) { try config(text).validate() }
    #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
  }

  @Test func takesNoRelativeBias() throws {
    var config = try config("yoso")
    config.position = .sinusoidal
    try config.validate()
    config.position = .relativeBias
    let error = #expect(throws: ModelError.self) { try config.validate() }
    #expect(error?.description.contains("no logits") == true)
  }

  @Test func expectationIsTheDeterministicVariant() throws {
    for estimate in ["sampled", "hybrid"] {
      let own = try AttentionConfig(parsing: "yoso:estimate=\(estimate),bits=5")
      #expect(own.expectation == (try AttentionConfig(parsing: "yoso:estimate=expectation,bits=5")))
    }
    #expect(try AttentionConfig(parsing: "yoso:estimate=expectation").expectation == nil)
  }

  private let kernels = Backend.ofThisProcessor

  /// Outputs of random inputs under a draw.
  private func outputs(
    _ attention: any AttentionOperator, _ draw: AttentionDraw, layer: Int
  ) throws -> [Float] {
    let savedRows = try config("yoso:bits=4").mechanism.savedRows
    let random = View(rows: 40, columns: 3 * 24)
    random.fillGaussian(deviation: 1, from: CounterRandom(seed: 4))
    let o = View(rows: 40, columns: 24)
    attention.forward(
      AttentionTensors(
        q: random.columns(0..<24), k: random.columns(24..<48), v: random.columns(48..<72),
        o: o, saved: View(rows: savedRows, columns: 40)),
      AttentionPass(try Sequences([0, 40], on: kernels), layer: layer, draw: draw))
    return o.elements
  }

  @Test func everyStepSeedAndLayerHasItsOwnHyperplanes() throws {
    let mechanism = try config("yoso:bits=4").mechanism
    let attention = try mechanism.makeOperator(on: kernels)
    let draws: [(AttentionDraw, Int)] = [
      (.training(seed: 1, step: 0), 0), (.training(seed: 1, step: 1), 0),
      (.training(seed: 2, step: 0), 0), (.training(seed: 1, step: 0), 1),
      (.evaluation(seed: 1), 0), (.evaluation(seed: 2), 0),
    ]
    let results = try draws.map { try outputs(attention, $0.0, layer: $0.1) }
    for (index, result) in results.enumerated() {
      for other in results[..<index] { #expect(result != other) }
    }
    // Draws that have left the cache come back as they were, in another operator as well.
    let other = try mechanism.makeOperator(on: kernels)
    for (draw, result) in zip(draws, results) {
      #expect(try outputs(attention, draw.0, layer: draw.1) == result)
      #expect(try outputs(other, draw.0, layer: draw.1) == result)
    }
  }

  @Test func workIsThatOfTheSpecification() throws {
    func work(_ text: String, _ length: Int) throws -> AttentionWork {
      var config = ModelConfig(vocabularySize: 61, width: 512, layers: 1, heads: 8, hidden: 40)
      config.use(try AttentionConfig(parsing: text))
      return config.mechanism.work(length: length)
    }
    // Per position and head of width 64: 4·64·16·8 for hashing and 2·16·64 for the tables.
    #expect(try work("yoso", 1_000).forward == 8 * 1_000 * (32_768 + 2_048))
    #expect(try work("yoso", 2_000).forward == 2 * work("yoso", 1_000).forward)
    #expect(try work("yoso:estimate=expectation", 777) == work("softmax", 777))
    // A hybrid of one chunk scores every pair and hashes besides.
    let one = try work("yoso:estimate=hybrid,chunk=100", 100)
    #expect(try one.forward == work("softmax", 100).forward + work("yoso", 100).forward)
  }
}
