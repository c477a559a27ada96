import Deterministic
import Host
import Model
import Tensor
import TestSupport
import Testing

/// The whole decoder on every back end: gradients, causality, decoding, independence of batches and
/// threads.
@Suite(.serialized) struct TransformerTests {
  @Test(arguments: TestBackend.ofTheProgram, Variant.smooth)
  func gradientIsTheSlope(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let text = TinySequences(lengths: [5, 1, 19, 34], vocabulary: 61, seed: 5)
    let scale = 1 / Float(text.ids.count)
    func loss() throws -> Double {
      try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
        .reduce(0) { $0 + Double($1) } * Double(scale)
    }
    let gradients = try model.makeGradients()
    let nats = try model.accumulateGradients(
      ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: scale,
      dropout: nil, into: gradients)
    #expect(abs(nats * Double(scale) - (try loss())) < 1e-6 * nats)
    // Every weight matrix gets its own direction: a wrong slot cannot hide behind the others.
    for (index, slot) in model.parameters.layout.slots.enumerated() {
      let weights = model.parameters.view(slot)
      let direction = CounterRandom(seed: 9, UInt64(index)).gaussians(0..<slot.count, deviation: 1)
      let start = try model.kernels.numbers(of: weights)
      let gradient = try model.kernels.numbers(of: gradients.view(slot))
      var slope = 0.0
      for (g, d) in zip(gradient, direction) { slope += Double(g) * Double(d) }
      let step: Float = 2e-3
      func moved(_ factor: Float) throws -> Double {
        try model.kernels.write(zip(start, direction).map { $0 + factor * $1 }, to: weights)
        return try loss()
      }
      // Two step sizes cancel the cubic term (Richardson), so float noise is all that is left.
      let wide = (try moved(2 * step) - (try moved(-2 * step))) / Double(4 * step)
      let narrow = (try moved(step) - (try moved(-step))) / Double(2 * step)
      let central = (4 * narrow - wide) / 3
      try model.kernels.write(start, to: weights)
      #expect(
        abs(central - slope) < 4e-3 * max(abs(slope), 0.05),
        "\(slot.name): \(slope) against \(central)")
    }
  }

  @Test(arguments: TestBackend.ofTheProgram, Variant.all)
  func laterTokensChangeNothing(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let text = TinySequences(lengths: [50], vocabulary: 61, seed: 6)
    let base = try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
    for changed in [1, 7, 8, 23, 40, 49] {
      var ids = text.ids
      ids[changed] = 3 + (ids[changed] + 11) % 50
      let nll = try model.nllNats(ids: ids, targets: text.targets, starts: text.starts)
      try backend.expectAlike(nll[..<changed], base[..<changed])
      #expect(nll[changed...] != base[changed...])
    }
  }

  @Test(arguments: TestBackend.ofTheProgram, Variant.all)
  func sequenceIsIndependentOfItsBatch(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let text = TinySequences(lengths: [7, 1, 30, 2, 65, 12], vocabulary: 61, seed: 7)
    let together = try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
    for index in 0..<6 {
      let (ids, targets) = text.sequence(index)
      let alone = try model.nllNats(ids: ids, targets: targets, starts: [0, ids.count])
      try backend.expectAlike(alone, together[text.starts[index]..<text.starts[index + 1]])
    }
  }

  @Test(arguments: TestBackend.ofTheProgram, Variant.all)
  func threadsChangeNothing(backend: TestBackend, variant: Variant) throws {
    guard try backend.makeKernels().promises.isRepeatable else { return }
    let text = TinySequences(lengths: [7, 1, 30, 2, 65, 12], vocabulary: 61, seed: 8)
    let results = try [1, 2, 3].map { threads in
      try withThreads(threads) {
        let model = try variant.model(on: backend)
        let gradients = try model.makeGradients()
        let nats = try model.accumulateGradients(
          ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: 0.01,
          dropout: Dropout(probability: 0.2, seed: 4, step: 9, rowOffset: 0), into: gradients)
        return [Float(nats)] + (try gradients.numbers())
      }
    }
    #expect(results[0] == results[1])
    #expect(results[0] == results[2])
  }

  @Test(arguments: TestBackend.ofTheProgram, Variant.all)
  func decodingEqualsTheFullPass(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let length = 70
    let text = TinySequences(lengths: [length], vocabulary: 61, seed: 10)
    let full = try model.logits(ids: text.ids, starts: [0, length])
    func expect(_ logits: View, _ position: Int) throws {
      try backend.expectAlike(
        model.kernels.numbers(of: logits),
        model.kernels.numbers(of: full.rows(position..<position + 1)), "position \(position)")
    }
    let session = try DecodeSession(model)
    try expect(try session.read(Array(text.ids[..<5])), 4)
    let forked = session.forked(3)
    for position in 5..<length {
      let logits = try forked.step(Array(repeating: text.ids[position], count: 3))
      for stream in 0..<3 { try expect(logits.rows(stream..<stream + 1), position) }
    }
    // The fork left the first session where it was.
    try expect(try session.step([text.ids[5]]), 5)
  }

  /// Scoring writes where a training step has been: neither may see the other.
  @Test(arguments: TestBackend.ofTheProgram, Variant.all)
  func scoringBetweenStepsChangesNoBit(backend: TestBackend, variant: Variant) throws {
    let text = TinySequences(lengths: [3, 17, 40, 9], vocabulary: 61, seed: 21)
    let more = TinySequences(lengths: [30, 55, 1, 70], vocabulary: 61, seed: 22)
    func gradient(_ model: Transformer) throws -> [Float] {
      let gradients = try model.makeGradients()
      _ = try model.accumulateGradients(
        ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: 1, dropout: nil,
        into: gradients)
      return try gradients.numbers()
    }
    func scores(_ model: Transformer) throws -> [Float] {
      try model.nllNats(ids: more.ids, targets: more.targets, starts: more.starts)
    }
    let (scored, trained) = (
      try scores(try variant.model(on: backend)), try gradient(try variant.model(on: backend))
    )
    let model = try variant.model(on: backend)
    try model.reserveTraining(text.ids.count, scoring: more.ids.count)
    let both = Transformer.activationSize(
      variant.config, training: text.ids.count, scoring: more.ids.count, on: model.kernels)
    let scoring = Activations.size(
      variant.config, positions: more.ids.count, training: false, on: model.kernels)
    #expect(both.joined(scoring) == both)
    for _ in 0..<2 {
      try backend.expectAlike(try gradient(model), trained)
      try backend.expectAlike(try scores(model), scored)
    }
  }

  @Test(arguments: TestBackend.ofTheProgram, Variant.all)
  func eightSentencesAreLearnt(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let text = TinySequences(
      lengths: [9, 5, 14, 3, 21, 8, 11, 6], vocabulary: 61, seed: 11)
    let gradients = try model.makeGradients()
    let moments = (try model.makeGradients(), try model.makeGradients())
    var natsPerToken: [Double] = []
    for step in 1...(backend.isSlow ? 25 : 250) {
      model.kernels.fill(gradients.all, with: 0)
      let nats = try model.accumulateGradients(
        ids: text.ids, targets: text.targets, starts: text.starts,
        gradientScale: 1 / Float(text.ids.count), dropout: nil, into: gradients)
      natsPerToken.append(nats / Double(text.ids.count))
      #expect(natsPerToken[step - 1].isFinite)
      model.kernels.adamW(
        parameters: model.parameters.all, gradients: gradients.all, firstMoment: moments.0.all,
        secondMoment: moments.1.all,
        AdamWStep(
          rate: 1e-2, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0, step: step,
          gradientScale: 1))
    }
    let last = natsPerToken[natsPerToken.count - 1]
    if backend.isSlow {
      #expect(last < 0.5 * natsPerToken[0], "\(natsPerToken)")
      return
    }
    // The first tokens of the eight sentences follow the same <s>: ln 8 nats each are not
    // learnable; the rest is.
    let floor = 8 * 2.0794 / Double(text.ids.count)
    #expect(last - floor < 0.05, "\(last) with a floor of \(floor)")
  }

  @Test(arguments: TestBackend.ofTheProgram)
  func dropoutOfMicroBatchesIsThatOfTheBatch(backend: TestBackend) throws {
    let model = try Variant.all[0].model(on: backend)
    let text = TinySequences(lengths: [7, 12, 30], vocabulary: 61, seed: 12)
    func gradient(_ parts: [Range<Int>]) throws -> [Float] {
      let gradients = try model.makeGradients()
      for part in parts {
        let rows = text.starts[part.lowerBound]..<text.starts[part.upperBound]
        _ = try model.accumulateGradients(
          ids: Array(text.ids[rows]), targets: Array(text.targets[rows]),
          starts: text.starts[part.lowerBound...part.upperBound].map { $0 - rows.lowerBound },
          gradientScale: 1 / 49,
          dropout: Dropout(probability: 0.3, seed: 2, step: 5, rowOffset: rows.lowerBound),
          into: gradients)
      }
      return try gradients.numbers()
    }
    let whole = try gradient([0..<3])
    let parts = try gradient([0..<1, 1..<3])
    let largest = whole.map(abs).max() ?? 0
    #expect(zip(whole, parts).allSatisfy { abs($0 - $1) <= 1e-6 * largest })
  }

  /// One step of every variant: the back end against the oracle, weight by weight.
  @Test(arguments: TestBackend.allCases.filter { $0 != .oracle }, Variant.all)
  func gradientIsThatOfTheOracle(backend: TestBackend, variant: Variant) throws {
    let text = TinySequences(lengths: [7, 1, 30, 12], vocabulary: 61, seed: 13)
    var (nats, gradients): ([Double], [[[Float]]]) = ([], [])
    for backend in [backend, .oracle] {
      let model = try variant.model(on: backend)
      let sums = try model.makeGradients()
      nats.append(
        try model.accumulateGradients(
          ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: 0.02,
          dropout: Dropout(probability: 0.2, seed: 4, step: 9, rowOffset: 3),
          draw: .training(seed: 8, step: 2), into: sums))
      gradients.append(
        try sums.layout.slots.map { try model.kernels.numbers(of: sums.view($0)) })
    }
    // Vectors rounded to eight bits fall to other sides of hyperplanes: another random estimate, which
    // is as good and not the same.
    if backend == .bfloat16, variant.testDescription == "yoso sampled" { return }
    if backend == .bfloat16 {
      // Products of eight bits and their sums, through two layers and back; where the largest of a
      // region is pooled, another may be.
      let (a, b) = (gradients[0].joined(), gradients[1].joined())
      let error = zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }
      let size = b.reduce(0) { $0 + $1 * $1 }
      #expect((error / size).squareRoot() <= 0.05, "\((error / size).squareRoot())")
      #expect(abs(nats[0] - nats[1]) <= 1e-2 * nats[1], "\(nats)")
      return
    }
    #expect(abs(nats[0] - nats[1]) <= 1e-6 * nats[1], "\(nats)")
    for (slot, (a, b)) in zip(
      ParameterLayout(variant.config).slots, zip(gradients[0], gradients[1]))
    {
      let largest = b.reduce(0) { max($0, abs($1)) }
      let error = zip(a, b).reduce(0) { max($0, abs($1.0 - $1.1)) }
      #expect(error <= 1e-4 * largest, "\(slot.name): \(error) of \(largest)")
    }
  }
}
