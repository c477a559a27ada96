import Deterministic
import Foundation
package import LMData
package import Model
import Storage
import Tensor

/// Continues a prompt, several samples in step.
package struct Generator {
  private let model: Transformer
  private let sampler: Sampler
  private let maximumTokens: Int
  private let stops: StopTexts
  private let tokens: TokenTable?
  private let hasLogProbabilities: Bool

  /// Samples that advance together; it bounds memory and changes nothing else.
  private static let streams = 64

  /// - Parameters:
  ///   - model: Continues.
  ///   - sampler: Draws.
  ///   - maximumTokens: Tokens after which a sample is cut off.
  ///   - stops: Texts after which it ends; what follows the prompt is searched.
  ///   - tokens: Spells the ids, to find them.
  ///   - hasLogProbabilities: Whether continuations tell the probabilities of their tokens.
  package init(
    model: Transformer, sampler: Sampler, maximumTokens: Int, stops: StopTexts = StopTexts([]),
    tokens: TokenTable? = nil, hasLogProbabilities: Bool = false
  ) {
    precondition(stops.isEmpty || tokens != nil, "texts to stop at, and nothing to spell them with")
    self.stops = stops
    self.tokens = tokens
    self.hasLogProbabilities = hasLogProbabilities
    precondition(maximumTokens >= 1, "samples of \(maximumTokens) tokens")
    self.model = model
    self.sampler = sampler
    self.maximumTokens = maximumTokens
  }

  /// Tokens that can follow a prompt: what the model promises, less `<s>` and the prompt.
  ///
  /// - Throws: `EvaluationError.promptTooLong` if there is no room for one.
  package static func room(
    after prompt: Int, in config: ModelConfig
  ) throws(EvaluationError) -> Int {
    let longest = config.maximumLength - 2
    guard prompt <= longest else {
      throw .promptTooLong(tokens: prompt, longest: max(0, longest))
    }
    return longest + 1 - prompt
  }

  /// Throws if a prompt is longer than the model can continue.
  package func check(prompt: [Int32]) throws(EvaluationError) {
    _ = try Self.room(after: prompt.count, in: model.config)
  }

  /// Continues a prompt `count` times; sample `n` depends on the seed and `n` alone.
  ///
  /// - Parameters:
  ///   - prompt: Tokens without markers; none samples a whole sentence.
  ///   - count: Number of samples.
  ///   - first: Number of the first sample.
  ///   - onToken: Called with the number of the sample and every token as it is drawn; may throw to
  ///     stop.
  package func continuations(
    of prompt: [Int32], count: Int, first: Int = 0,
    onToken: (Int, Int32) throws -> Void = { _, _ in }
  ) throws -> [Continuation] {
    var results: [Continuation] = []
    try forEachGroup(of: prompt, count: count, first: first, onToken: onToken) { results += $0 }
    return results
  }

  /// As `continuations`, but hands over each group of samples, in their order, as it finishes.
  package func forEachGroup(
    of prompt: [Int32], count: Int, first: Int = 0,
    onToken: (Int, Int32) throws -> Void = { _, _ in }, _ body: ([Continuation]) throws -> Void
  ) throws {
    let limit = min(maximumTokens, try Self.room(after: prompt.count, in: model.config))
    let past = try DecodeSession(model)
    let logits = try model.kernels.numbers(
      of: past.read([model.config.bosID] + prompt, advice: "shorten it"))
    let end = first + count
    let streams = streams(after: past, tokens: prompt.count + limit)
    for start in stride(from: first, to: end, by: streams) {
      let samples = start..<min(end, start + streams)
      try body(
        try advance(
          past, after: prompt, samples: samples, first: logits, limit: limit, onToken: onToken))
    }
  }

  /// Samples that advance together, as many as there is memory for; no sample depends on it.
  ///
  /// - Parameter tokens: Tokens of a stream at its end.
  private func streams(after past: DecodeSession, tokens: Int) -> Int {
    // A cache holds at least so many positions from the first.
    let growth = Double(max(64, tokens)) / Double(max(64, past.length))
    let stream = 1.5 * growth * Double(past.bytes) + 8 * Double(model.config.vocabularySize)
    let room = Double(MemoryLimit.current().room) / 2
    return max(1, Int(min(Double(Self.streams), room / max(1, stream))))
  }

  private func advance(
    _ past: DecodeSession, after prompt: [Int32], samples: Range<Int>, first: [Float], limit: Int,
    onToken: (Int, Int32) throws -> Void
  ) throws -> [Continuation] {
    var results = Array(repeating: Continuation(), count: samples.count)
    var texts = [[UInt8]](repeating: [], count: stops.isEmpty ? 0 : samples.count)
    let penalises = sampler.options.repetitionPenalty != 1
    func pasts(_ open: [Int]) -> [[Int32]] {
      penalises ? open.map { prompt + results[$0 - samples.lowerBound].ids } : []
    }
    var drawn = try draw(
      samples: Array(samples), step: 0, from: first, pasts: pasts(Array(samples)))
    var logits: [Float] = []
    var session: DecodeSession?
    var open = Array(samples)
    for step in 0..<limit {
      var kept: [Int] = []
      for (stream, sample) in open.enumerated() {
        let (token, logProbability) = drawn[stream]
        if hasLogProbabilities {
          results[sample - samples.lowerBound].logProbabilities.append(logProbability)
        }
        if token == model.config.eosID || model.config.otherEndIDs.contains(token) {
          results[sample - samples.lowerBound].end = .sentence
        } else {
          results[sample - samples.lowerBound].ids.append(token)
          try onToken(sample, token)
          if !stops.isEmpty,
            isStopped(
              &texts[sample - samples.lowerBound], by: token,
              isFirst: prompt.isEmpty && results[sample - samples.lowerBound].ids.count == 1)
          {
            results[sample - samples.lowerBound].end = .stop
          } else {
            kept.append(stream)
          }
        }
      }
      if kept.isEmpty || step + 1 == limit { break }
      let taken = kept.map { drawn[$0].token }
      if let session {
        if kept.count < open.count { session.keep(kept) }
      } else {
        session = past.forked(kept.count)
      }
      guard let session else { preconditionFailure("no session") }
      try model.kernels.read(session.step(taken), into: &logits)
      open = kept.map { open[$0] }
      drawn = try draw(samples: open, step: step + 1, from: logits, pasts: pasts(open))
    }
    return results
  }

  /// Whether the text of a sample holds a text to stop at once a token is added to it.
  private func isStopped(_ text: inout [UInt8], by token: Int32, isFirst: Bool) -> Bool {
    guard let tokens else { return false }
    let known = text.count
    // The space in front of a whole sentence is not part of its text.
    text += isFirst ? tokens.decode([token]) : Array(tokens[token])
    return stops.start(in: text, known: known) != nil
  }

  /// One token for every sample, and ln p of it if that is asked for.
  ///
  /// - Parameters:
  ///   - samples: Their numbers.
  ///   - step: Tokens drawn before.
  ///   - logits: A row for every sample, or one row for all.
  ///   - pasts: Prompt and tokens of every sample, or none.
  private func draw(
    samples: [Int], step: Int, from logits: [Float], pasts: [[Int32]]
  ) throws -> [(token: Int32, logProbability: Double)] {
    let width = model.config.vocabularySize
    let isShared = logits.count == width
    var tokens = [(token: Int32, logProbability: Double)](
      repeating: (-1, 0), count: samples.count)
    let sampler = sampler
    let hasLogProbabilities = hasLogProbabilities
    tokens.withUnsafeMutableBufferPointer { buffer in
      nonisolated(unsafe) let tokens = buffer
      parallelFor(samples.count) { stream in
        let first = isShared ? 0 : stream * width
        let row = logits.span.extracting(first..<first + width)
        guard
          let token = try? sampler.choose(
            row, sample: samples[stream], step: step, past: pasts.isEmpty ? [] : pasts[stream])
        else { return }
        tokens[stream] = (token, hasLogProbabilities ? Self.logProbability(of: token, row) : 0)
      }
    }
    guard !tokens.contains(where: { $0.token < 0 }) else {
      throw EvaluationError.noLogits(step: step)
    }
    return tokens
  }

  /// ln of the softmax of the logits at a token.
  private static func logProbability(of token: Int32, _ logits: Span<Float>) -> Double {
    var largest = -Float.infinity
    for id in logits.indices { largest = max(largest, logits[id]) }
    var sum = 0.0
    for id in logits.indices { sum += exp(Double(logits[id]) - Double(largest)) }
    return Double(logits[Int(token)]) - Double(largest) - log(sum)
  }
}
