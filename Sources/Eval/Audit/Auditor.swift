import Deterministic
import Foundation
import Storage
import Tensor

package import Model

/// Tests whether a model sees the future, and whether scores depend on anything but the text.
///
/// It compares the numbers that perplexities and samples are made of, bit for bit: the log-probability
/// of a token must be the same whatever follows it, whatever shares its batch, and whichever code path
/// computes it. Nothing is assumed about the attention.
package struct Auditor {
  private let model: Transformer
  private let sequences: [AuditSequence]
  private let positions: Int
  private let random: CounterRandom

  /// Called with the number of positions computed; may throw to stop.
  package var progress: (Int) throws -> Void = { _ in }

  /// Sequences that are decoded token by token beside the full pass, the longest first.
  private static let decoded = 6
  /// Places at which a long sequence is cut between past and future.
  private static let cuts = 48
  /// Positions whose probabilities are summed over the vocabulary.
  private static let summed = 64
  /// How far such a sum may be from 1.
  private static let sumTolerance = 1e-5

  /// - Parameters:
  ///   - seed: Names the replacements, cuts and orders that are drawn.
  ///   - positions: Positions computed at a time; it bounds memory.
  package init(
    _ model: Transformer, sequences: [AuditSequence], seed: UInt64 = 1,
    positions: Int = Evaluator.defaultPositions
  ) {
    self.model = model
    self.sequences = sequences
    self.positions = positions
    random = CounterRandom(seed: seed, 0xA0D1)
  }

  /// Roughly the positions that `run` computes, for a progress bar.
  package var work: Int {
    sequences.reduce(0) { sum, sequence in
      sum + cuts(of: sequence).count * 4 * sequence.ids.count + 10 * sequence.ids.count
    }
  }

  /// Runs every check.
  package func run() throws -> AuditReport {
    try planMemory()
    let reference = try sequences.map { try nll([Variation($0)])[0] }
    return AuditReport(
      subject: "\(model.config.attention), \(model.config.position.rawValue) positions",
      sequences: sequences.count, tokens: sequences.reduce(0) { $0 + $1.ids.count },
      checks: [finite(reference)] + (try causality(reference)) + [
        try sums(), try decoding(), try batches(reference), try threads(reference),
      ])
  }

  /// Throws unless there is memory for the largest batch and for the logits of the longest sequence.
  private func planMemory() throws {
    let longest = sequences.map(\.ids.count).max() ?? 1
    let purpose = "auditing sequences of up to \(longest) tokens"
    let advice = "give shorter sentences, or a smaller --batch-tokens"
    try model.planScoring(
      starts: [0, longest, max(longest, positions)], purpose: purpose, advice: advice)
    let activations = Activations.size(
      model.config, positions: max(longest, positions), training: false, on: model.kernels)
    try MemoryLimit.require(
      activations.bytes(on: model.kernels)
        + model.kernels.bytes(count: longest * model.config.vocabularySize),
      on: model.kernels, for: purpose, advice: advice)
  }

  // MARK: Scoring

  /// Inputs that differ from a sequence somewhere; its own targets are scored under them.
  private struct Variation {
    var ids: [Int32]
    let targets: [Int32]

    init(_ sequence: AuditSequence) {
      ids = sequence.ids
      targets = sequence.targets
    }

    init(ids: [Int32], targets: [Int32]) {
      self.ids = ids
      self.targets = Array(targets.prefix(ids.count))
    }
  }

  /// -ln p of every target, all variations in one batch.
  private func nll(_ variations: [Variation]) throws -> [[Float]] {
    var starts = [0]
    for variation in variations { starts.append(starts[starts.count - 1] + variation.ids.count) }
    let all = try model.nllNats(
      ids: variations.flatMap(\.ids), targets: variations.flatMap(\.targets), starts: starts)
    try progress(all.count)
    return zip(starts, starts.dropFirst()).map { Array(all[$0..<$1]) }
  }

  /// Scores variations in batches of up to `budget` positions, each with its place in the list.
  private func forEach(
    _ variations: [Variation], budget: Int, _ body: (Int, [Float]) -> Void
  ) throws {
    var first = 0
    while first < variations.count {
      var end = first + 1
      var filled = variations[first].ids.count
      while end < variations.count, filled + variations[end].ids.count <= budget {
        filled += variations[end].ids.count
        end += 1
      }
      for (offset, scores) in try nll(Array(variations[first..<end])).enumerated() {
        body(first + offset, scores)
      }
      first = end
    }
  }

  /// Indices at which two rows of numbers differ in bits; equal NaNs count as equal.
  private static func differences(
    _ a: some Sequence<Float>, _ b: some Sequence<Float>
  ) -> [Int] {
    zip(a, b).enumerated().filter { $0.element.0.bitPattern != $0.element.1.bitPattern }
      .map(\.offset)
  }

  // MARK: Numbers

  /// Every other check compares bits and could pass on NaN.
  private func finite(_ reference: [[Float]]) -> AuditCheck {
    var check = AuditCheck(
      name: "numbers", requirement: "every -ln p is finite and not below 0")
    for (sequence, scores) in zip(sequences, reference) {
      let wrong = scores.indices.filter { !(scores[$0].isFinite && scores[$0] >= -1e-6) }
      check.record(scores.count, failures: wrong.count) {
        "\(sequence.place), token \(wrong[0] + 1): -ln p is \(scores[wrong[0]])"
      }
    }
    return check
  }

  // MARK: Causality

  /// First positions of the future: every one of a sentence, a seeded choice of a longer text with
  /// both ends and the neighbourhood of every power of two, where blocks of an attention end.
  private func cuts(of sequence: AuditSequence) -> [Int] {
    let count = sequence.ids.count
    guard count > Self.cuts + 1 else { return Array(1..<max(1, count)) }
    var cuts: Set<Int> = [1, 2, count - 1]
    var power = 4
    while power < count {
      cuts.formUnion([power - 1, power, power + 1].filter { $0 < count })
      power *= 2
    }
    var draw: UInt64 = 0
    while cuts.count < Self.cuts {
      cuts.insert(1 + Int(random.bits(draw) % UInt64(count - 1)))
      draw += 1
    }
    return cuts.sorted()
  }

  /// A token of the vocabulary other than the one given.
  private func other(than token: Int32, _ draw: UInt64) -> Int32 {
    let count = UInt64(model.config.vocabularySize)
    guard count > 1 else { return token }
    return Int32((UInt64(token) + 1 + random.bits(draw) % (count - 1)) % count)
  }

  /// The ways in which the future of a sequence is changed.
  private enum Change: CaseIterable {
    case one, all, some, cut

    var check: AuditCheck {
      let changed =
        switch self {
        case .one: ("one later token", "one later token is replaced")
        case .all: ("all later tokens", "all later tokens are replaced")
        case .some: ("some later tokens", "any of the later tokens are replaced")
        case .cut: ("no later tokens", "the text ends")
        }
      return AuditCheck(
        name: changed.0,
        requirement: "every earlier log-probability keeps its bits when \(changed.1)")
    }
  }

  /// The sequence with another future from `cut` on.
  private func changed(
    _ sequence: AuditSequence, from cut: Int, _ change: Change, draw: UInt64
  ) -> Variation {
    var ids = sequence.ids
    let stream = draw &* 0x1_0001
    switch change {
    case .one:
      ids[cut] = other(than: ids[cut], stream)
    case .all, .some:
      for position in cut..<ids.count {
        let index = stream &+ UInt64(position)
        if change == .all || position == cut || random.bits(~index) & 1 == 0 {
          ids[position] = other(than: ids[position], index)
        }
      }
    case .cut:
      ids.removeSubrange(cut...)
    }
    return Variation(ids: ids, targets: sequence.targets)
  }

  private func causality(_ reference: [[Float]]) throws -> [AuditCheck] {
    try Change.allCases.map { change in
      var check = change.check
      for (index, sequence) in sequences.enumerated() {
        let cuts = cuts(of: sequence)
        let variations = cuts.map {
          changed(sequence, from: $0, change, draw: UInt64(index << 20 + $0))
        }
        try forEach(variations, budget: positions) { variation, scores in
          let cut = cuts[variation]
          let different = Self.differences(scores.prefix(cut), reference[index].prefix(cut))
          check.record(cut, failures: different.count) {
            "\(sequence.place): token \(different[0] + 1) had -ln p \(reference[index][different[0]]), "
              + "\(scores[different[0]]) with another future from token \(cut + 1) on"
          }
        }
      }
      return check
    }
  }

  // MARK: Probabilities

  /// Sums over the vocabulary, from the logits that samples are drawn from and the normaliser that
  /// scoring uses.
  private func sums() throws -> AuditCheck {
    var check = AuditCheck(
      name: "sums", requirement: "probabilities sum to 1 within \(Self.sumTolerance)")
    let step = max(1, sequences.reduce(0) { $0 + $1.ids.count } / Self.summed)
    var position = 0
    for sequence in sequences {
      let rows = sequence.ids.indices.filter { (position + $0) % step == 0 }
      position += sequence.ids.count
      if rows.isEmpty { continue }
      let logits = try model.logits(ids: sequence.ids, starts: [0, sequence.ids.count])
      let scores = try nll([Variation(sequence)])[0]
      for row in rows {
        let values = try model.kernels.numbers(of: logits.rows(row..<row + 1)).map(Double.init)
        let normaliser = Double(scores[row]) + values[Int(sequence.targets[row])]
        let sum = values.reduce(0) { $0 + exp($1 - normaliser) }
        check.record(failures: abs(sum - 1) <= Self.sumTolerance ? 0 : 1) {
          "\(sequence.place), token \(row + 1): the probabilities sum to \(sum)"
        }
      }
    }
    return check
  }

  // MARK: Decoding

  /// Tokens taken in one at a time, by themselves and beside others, against the full pass.
  private func decoding() throws -> AuditCheck {
    var check = AuditCheck(
      name: "decoding",
      requirement: "token by token gives the bits of the full pass, alone and beside others")
    let longest = sequences.sorted { $0.ids.count > $1.ids.count }.prefix(Self.decoded)
    for (index, sequence) in longest.enumerated() {
      let full = try model.logits(ids: sequence.ids, starts: [0, sequence.ids.count])
      let prompt = 1 + Int(random.bits(~UInt64(index)) % UInt64(sequence.ids.count))
      let session = try DecodeSession(model)
      var rows = try session.read(Array(sequence.ids[..<prompt]))
      let streams = session.forked(3)
      for position in prompt - 1..<sequence.ids.count {
        if position >= prompt {
          rows = try streams.step(Array(repeating: sequence.ids[position], count: 3))
        }
        let expected = try model.kernels.numbers(of: full.rows(position..<position + 1))
        for stream in 0..<rows.rows {
          let found = try model.kernels.numbers(of: rows.rows(stream..<stream + 1))
          let different = Self.differences(found, expected)
          check.record(expected.count, failures: different.count) {
            "\(sequence.place): logit \(different[0]) after token \(position) is "
              + "\(found[different[0]]), \(expected[different[0]]) in the full pass"
          }
        }
        try progress(3)
      }
    }
    return check
  }

  // MARK: Batches and threads

  private func batches(_ reference: [[Float]]) throws -> AuditCheck {
    var check = AuditCheck(
      name: "batches", requirement: "batch size and order of the sentences change no bit")
    let orders = [
      Array(sequences.indices), sequences.indices.reversed(),
      sequences.indices.sorted { random.bits(UInt64($0)) < random.bits(UInt64($1)) },
    ]
    for (order, budget) in zip(orders, [positions, 64, positions / 3 + 1]) {
      try forEach(order.map { Variation(sequences[$0]) }, budget: budget) { place, scores in
        let index = order[place]
        let different = Self.differences(scores, reference[index])
        check.record(scores.count, failures: different.count) {
          "\(sequences[index].place), token \(different[0] + 1): -ln p is "
            + "\(scores[different[0]]) in a batch, \(reference[index][different[0]]) alone"
        }
      }
    }
    return check
  }

  private func threads(_ reference: [[Float]]) throws -> AuditCheck {
    var check = AuditCheck(name: "threads", requirement: "the number of threads changes no bit")
    let before = Parallel.threads
    defer { Parallel.threads = before }
    for threads in [1, 2, 3] {
      Parallel.threads = threads
      try forEach(sequences.map { Variation($0) }, budget: positions) { index, scores in
        let different = Self.differences(scores, reference[index])
        check.record(scores.count, failures: different.count) {
          "\(sequences[index].place), token \(different[0] + 1): -ln p is "
            + "\(scores[different[0]]) with --threads \(threads), \(reference[index][different[0]]) before"
        }
      }
    }
    return check
  }
}
