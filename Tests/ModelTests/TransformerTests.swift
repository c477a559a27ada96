import Deterministic
import Model
import Tensor
import TestSupport
import Testing

/// The whole decoder: gradients, causality, decoding, independence of batches and threads.
@Suite(.serialized) struct TransformerTests {
  private static func model(_ config: ModelConfig, seed: UInt64 = 3) throws -> Transformer {
    let parameters = try Parameters(config)
    try parameters.initialize(seed: seed)
    return try Transformer(config, parameters: parameters)
  }

  @Test(arguments: Variant.smooth) func gradientIsTheSlope(variant: Variant) throws {
    let model = try Self.model(variant.config)
    let text = TinySequences(lengths: [5, 1, 19, 34], vocabulary: 61, seed: 5)
    let scale = 1 / Float(text.ids.count)
    func loss() throws -> Double {
      try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
        .reduce(0) { $0 + Double($1) } * Double(scale)
    }
    let gradients = try Parameters(variant.config)
    let nats = try model.accumulateGradients(
      ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: scale,
      dropout: nil, into: gradients)
    #expect(abs(nats * Double(scale) - (try loss())) < 1e-6 * nats)
    // Every weight matrix gets its own direction: a wrong slot cannot hide behind the others.
    for (index, slot) in model.parameters.layout.slots.enumerated() {
      let weights = model.parameters.view(slot)
      let direction = View(rows: 1, columns: slot.count)
      direction.fillGaussian(deviation: 1, from: CounterRandom(seed: 9, UInt64(index)))
      let start = weights.elements
      let gradient = gradients.view(slot).elements
      var slope = 0.0
      for (g, d) in zip(gradient, direction.elements) { slope += Double(g) * Double(d) }
      let step: Float = 2e-3
      func moved(_ factor: Float) throws -> Double {
        for i in 0..<slot.count { weights.base[i] = start[i] + factor * direction.base[i] }
        return try loss()
      }
      // Two step sizes cancel the cubic term (Richardson), so float noise is all that is left.
      let wide = (try moved(2 * step) - (try moved(-2 * step))) / Double(4 * step)
      let narrow = (try moved(step) - (try moved(-step))) / Double(2 * step)
      let central = (4 * narrow - wide) / 3
      for i in 0..<slot.count { weights.base[i] = start[i] }
      #expect(
        abs(central - slope) < 4e-3 * max(abs(slope), 0.05),
        "\(slot.name): \(slope) against \(central)")
    }
  }

  @Test(arguments: Variant.all) func laterPiecesChangeNothing(variant: Variant) throws {
    let model = try Self.model(variant.config)
    let text = TinySequences(lengths: [50], vocabulary: 61, seed: 6)
    let base = try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
    for changed in [1, 7, 8, 23, 40, 49] {
      var ids = text.ids
      ids[changed] = 3 + (ids[changed] + 11) % 50
      let nll = try model.nllNats(ids: ids, targets: text.targets, starts: text.starts)
      #expect(Array(nll[..<changed]) == Array(base[..<changed]))
      #expect(nll[changed...] != base[changed...])
    }
  }

  @Test(arguments: Variant.all) func sequenceIsIndependentOfItsBatch(variant: Variant) throws {
    let model = try Self.model(variant.config)
    let text = TinySequences(lengths: [7, 1, 30, 2, 65, 12], vocabulary: 61, seed: 7)
    let together = try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
    for index in 0..<6 {
      let (ids, targets) = text.sequence(index)
      let alone = try model.nllNats(ids: ids, targets: targets, starts: [0, ids.count])
      #expect(alone == Array(together[text.starts[index]..<text.starts[index + 1]]))
    }
  }

  @Test(arguments: Variant.all) func threadsChangeNothing(variant: Variant) throws {
    let text = TinySequences(lengths: [7, 1, 30, 2, 65, 12], vocabulary: 61, seed: 8)
    let results = try [1, 2, 3].map { threads in
      try withThreads(threads) {
        let model = try Self.model(variant.config)
        let gradients = try Parameters(variant.config)
        let nats = try model.accumulateGradients(
          ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: 0.01,
          dropout: Dropout(probability: 0.2, seed: 4, step: 9, rowOffset: 0), into: gradients)
        return [Float(nats)] + gradients.all.elements
      }
    }
    #expect(results[0] == results[1])
    #expect(results[0] == results[2])
  }

  @Test(arguments: Variant.all) func decodingEqualsTheFullPass(variant: Variant) throws {
    let model = try Self.model(variant.config)
    let text = TinySequences(lengths: [70], vocabulary: 61, seed: 10)
    let full = try model.logits(ids: text.ids, starts: [0, 70])
    let session = try DecodeSession(model)
    var logits = try session.read(Array(text.ids[..<5]))
    #expect(logits.elements == full.rows(4..<5).elements)
    let forked = session.forked(3)
    for position in 5..<70 {
      logits = try forked.step(Array(repeating: text.ids[position], count: 3))
      let expected = full.rows(position..<position + 1).elements
      for stream in 0..<3 {
        #expect(logits.rows(stream..<stream + 1).elements == expected, "position \(position)")
      }
    }
    // The fork left the first session where it was.
    #expect(try session.step([text.ids[5]]).elements == full.rows(5..<6).elements)
  }

  /// Scoring writes where a training step has been: neither may see the other.
  @Test(arguments: Variant.all) func scoringBetweenStepsChangesNoBit(variant: Variant) throws {
    let text = TinySequences(lengths: [3, 17, 40, 9], vocabulary: 61, seed: 21)
    let more = TinySequences(lengths: [30, 55, 1, 70], vocabulary: 61, seed: 22)
    func gradient(_ model: Transformer) throws -> [Float] {
      let gradients = try Parameters(variant.config)
      _ = try model.accumulateGradients(
        ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: 1, dropout: nil,
        into: gradients)
      return gradients.all.elements
    }
    func scores(_ model: Transformer) throws -> [Float] {
      try model.nllNats(ids: more.ids, targets: more.targets, starts: more.starts)
    }
    let (scored, trained) = (
      try scores(try Self.model(variant.config)), try gradient(try Self.model(variant.config))
    )
    let model = try Self.model(variant.config)
    try model.reserveTraining(text.ids.count, scoring: more.ids.count)
    let before = HostMemory.bytes(
      count: Transformer.activationNumbers(
        variant.config, training: text.ids.count, scoring: more.ids.count, heads: .bands))
    #expect(
      before
        >= 4
        * Activations.numbers(
          variant.config, positions: more.ids.count, training: false, heads: .bands))
    for _ in 0..<2 {
      #expect(try gradient(model) == trained)
      #expect(try scores(model) == scored)
    }
  }

  @Test(arguments: Variant.all) func eightSentencesAreLearnt(variant: Variant) throws {
    let model = try Self.model(variant.config)
    let text = TinySequences(
      lengths: [9, 5, 14, 3, 21, 8, 11, 6], vocabulary: 61, seed: 11)
    let gradients = try Parameters(variant.config)
    let moments = (try Parameters(variant.config), try Parameters(variant.config))
    var natsPerPiece = Double.infinity
    for step in 1...250 {
      gradients.all.fill(0)
      let nats = try model.accumulateGradients(
        ids: text.ids, targets: text.targets, starts: text.starts,
        gradientScale: 1 / Float(text.ids.count), dropout: nil, into: gradients)
      natsPerPiece = nats / Double(text.ids.count)
      #expect(natsPerPiece.isFinite)
      model.kernels.adamW(
        parameters: model.parameters.all, gradients: gradients.all, firstMoment: moments.0.all,
        secondMoment: moments.1.all,
        AdamWStep(
          rate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0, step: step,
          gradientScale: 1))
    }
    // The first pieces of the eight sentences follow the same <s>: ln 8 nats each are not
    // learnable; the rest is.
    let floor = 8 * 2.0794 / Double(text.ids.count)
    #expect(natsPerPiece - floor < 0.05, "\(natsPerPiece) with a floor of \(floor)")
  }

  @Test func dropoutOfMicroBatchesIsThatOfTheBatch() throws {
    let config = Variant.all[0].config
    let model = try Self.model(config)
    let text = TinySequences(lengths: [7, 12, 30], vocabulary: 61, seed: 12)
    func gradient(_ parts: [Range<Int>]) throws -> [Float] {
      let gradients = try Parameters(config)
      for part in parts {
        let rows = text.starts[part.lowerBound]..<text.starts[part.upperBound]
        _ = try model.accumulateGradients(
          ids: Array(text.ids[rows]), targets: Array(text.targets[rows]),
          starts: text.starts[part.lowerBound...part.upperBound].map { $0 - rows.lowerBound },
          gradientScale: 1 / 49,
          dropout: Dropout(probability: 0.3, seed: 2, step: 5, rowOffset: rows.lowerBound),
          into: gradients)
      }
      return gradients.all.elements
    }
    let whole = try gradient([0..<3])
    let parts = try gradient([0..<1, 1..<3])
    let largest = whole.map(abs).max() ?? 0
    #expect(zip(whole, parts).allSatisfy { abs($0 - $1) <= 1e-6 * largest })
  }
}
