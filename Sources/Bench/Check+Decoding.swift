import Machine
import Model
import Tensor

/// A token costs what the attention promises, however long its past.
extension Check {
  static let decoding: [Check] = [
    Check("decode state of softmax, 4,096 against 1,024 positions") { withFault in
      let bytes = try states(withFault ? "hierarchical" : "softmax")
      return Outcome(found: bytes[1], expected: 4 * bytes[0])
    },
    Check("decode state of hierarchical, 4,096 against 1,024 positions") { withFault in
      // Two more levels.
      let bytes = try states(withFault ? "softmax" : "hierarchical")
      return Outcome(ratio: Double(bytes[1]) / Double(bytes[0]), atMost: 1.5)
    },
    Check("decode state of sampled YOSO, 4,096 against 1,024 positions") { withFault in
      let bytes = try states(withFault ? "softmax" : "yoso:estimate=sampled")
      return Outcome(found: bytes[1], expected: bytes[0])
    },
    Check("allocations of a step of 32 streams") { withFault in
      let session = try warmSession(streams: 32)
      let before = Buffer.allocations
      for _ in 0..<8 {
        let logits = try session.step(Array(repeating: 3, count: 32))
        // As if every sample had a copy of its row.
        if withFault {
          kernels.copy(
            logits.rows(0..<1), to: try kernels.makeView(rows: 1, columns: logits.columns))
        }
      }
      return Outcome(found: Buffer.allocations - before, expected: 0)
    },
    Check("time of a step of 32 streams, of 32 steps of one") { withFault in
      let one = try warmSession(streams: 1)
      let many = try warmSession(streams: 32)
      var (single, batched) = (Double.infinity, Double.infinity)
      for _ in 0..<5 {
        single = min(single, try seconds { for _ in 0..<32 { _ = try one.step([3]) } })
        batched = min(
          batched,
          try seconds {
            if withFault {
              for _ in 0..<32 { _ = try one.step([3]) }
            } else {
              _ = try many.step(Array(repeating: 3, count: 32))
            }
          })
      }
      return Outcome(ratio: batched / single, atMost: 0.5)
    },
  ]

  private static func states(_ attention: String) throws -> [Int] {
    let config = ModelConfig.small(try AttentionConfig(parsing: attention))
    let trial = try AttentionTrial(config, on: kernels, length: 4_096)
    let state = try trial.makeState()
    return try (1...trial.length).compactMap { length in
      trial.step(try trial.row(length - 1), state)
      return [1_024, 4_096].contains(length) ? state.bytes : nil
    }
  }

  /// Streams with a past of 70 tokens, whose caches have room.
  private static func warmSession(streams: Int) throws -> DecodeSession {
    let config = ModelConfig.small(.softmax)
    let parameters = try Parameters(config, on: kernels)
    try parameters.initialize(seed: 1)
    let past = try DecodeSession(
      try Transformer(config, parameters: parameters, kernels: kernels))
    _ = try past.read(Array(repeating: 3, count: 70))
    let session = past.forked(streams)
    for _ in 0..<2 { _ = try session.step(Array(repeating: 3, count: streams)) }
    return session
  }

  static func seconds(_ body: () throws -> Void) rethrows -> Double {
    let began = WallClock.seconds()
    try body()
    return WallClock.seconds() - began
  }
}
