import Foundation
package import LMData

/// The tokens before which a word is over: those that begin with a space, and those that end the text.
///
/// Where the space is in front of a word, its last token does not say that the word ends there: `▁king`
/// may go on with `dom`. It ends if one of these tokens comes next.
package struct WordStarts: Sendable {
  private let isStart: [Bool]
  /// The tokens that are none of these, where there are two at most: of whole words all but `<s>` begin one.
  package let fewOthers: [Int32]?

  /// - Parameters:
  ///   - tokens: Spells the ids.
  ///   - special: The markers; `<unk>` begins no word unless it spells the word `<UNK>`: no text is spelled
  ///     with another.
  ///   - ends: Other tokens that end a text, as `</s>` does.
  ///   - rows: Rows of the model, perhaps more than the tokens.
  /// - Throws: `EvaluationError.invalid` if a token holds the end of a word and a space behind it: then
  ///   no probability says where the word ends.
  package init(
    _ tokens: TokenTable, special: SpecialIDs, ends: [Int32] = [], rows: Int? = nil
  ) throws(EvaluationError) {
    let rows = rows ?? tokens.count
    var isStart = [Bool](repeating: false, count: rows)
    let unknownWord = [0x20] + Words.unknown
    for id in 0..<Int32(min(rows, tokens.count)) {
      let token = tokens[id]
      if id == special.unk, !token.elementsEqual(unknownWord) { continue }
      guard let first = token.first else { continue }
      isStart[Int(id)] = Words.isSpace(first)
      if zip(token, token.dropFirst()).contains(where: { !Words.isSpace($0) && Words.isSpace($1) })
      {
        throw .invalid(
          "the tokenizer has a token that holds the end of a word and a space behind it "
            + "(\"\(String(decoding: token, as: UTF8.self))\"), so words have no probabilities of their "
            + "own; leave out --per-word")
      }
    }
    for id in [special.eos] + ends where isStart.indices.contains(Int(id)) {
      isStart[Int(id)] = true
    }
    self.isStart = isStart
    let others = isStart.indices.filter { !isStart[$0] }.map { Int32($0) }
    fewOthers = others.count <= 2 ? others : nil
  }

  /// Whether a token begins a word or ends the text.
  package subscript(id: Int32) -> Bool { isStart[Int(id)] }

  /// -ln of the probability that any of these tokens comes next.
  ///
  /// - Parameter logits: One per row of the model, `[V]`.
  package func nats(_ logits: Span<Float>) -> Double {
    precondition(logits.count == isStart.count, "\(logits.count) logits, \(isStart.count) tokens")
    var largest = -Float.infinity
    var largestStart = -Float.infinity
    for id in logits.indices {
      largest = max(largest, logits[id])
      if isStart[id] { largestStart = max(largestStart, logits[id]) }
    }
    // Each sum has its own largest term, so that neither is lost beside the other.
    var all = 0.0
    var starting = 0.0
    for id in logits.indices {
      all += exp(Double(logits[id]) - Double(largest))
      if isStart[id] { starting += exp(Double(logits[id]) - Double(largestStart)) }
    }
    return (Double(largest) + log(all)) - (Double(largestStart) + log(starting))
  }
}
