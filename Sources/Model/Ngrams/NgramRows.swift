import Deterministic

/// Tables of rows that stand for the last tokens of a position and are added to its embedding.
///
/// There are far more pairs and triples of tokens than rows: a hash tells which row a position has, and
/// those that share one learn it together (Huang et al., 2025, arXiv 2501.16975).
package struct NgramRows: Sendable, Equatable {
  /// Tokens that a row stands for: 2 or 3.
  package let order: Int
  /// Rows of the table, R.
  package let count: Int

  /// Name of the table in a checkpoint.
  package var name: String { "model.\(order == 2 ? "bigram" : "trigram")_rows.weight" }

  /// The row of every position: it follows from the tokens up to it in its own sequence.
  ///
  ///     h = mix(order);  for each of the last tokens, the oldest first:  h = mix(h ^ id)
  ///     row = h · R / 2⁶⁴
  ///
  /// `mix` is a step of SplitMix64; before a sequence begins the id is 2³² - 1.
  ///
  /// - Parameters:
  ///   - ids: Inputs, `[N]`.
  ///   - starts: First position of every sequence and, last, N.
  package func rows(ids: [Int32], starts: [Int]) -> [Int32] {
    var rows: [Int32] = []
    rows.reserveCapacity(ids.count)
    for (start, end) in zip(starts, starts.dropFirst()) {
      for position in start..<end {
        rows.append(row { $0 > position - start ? nil : ids[position - $0] })
      }
    }
    return rows
  }

  /// The row of a token among those of its stream so far.
  ///
  /// - Parameters:
  ///   - place: Of the token.
  ///   - tokens: The last of the stream, as many as a row stands for unless the stream has no more.
  func row(at place: Int, of tokens: [Int32]) -> Int32 {
    row { $0 > place ? nil : tokens[place - $0] }
  }

  /// The row of a position.
  ///
  /// - Parameter token: The token that stands so many places before it, 0 for its own; nil before the
  ///   sequence.
  func row(_ token: (Int) -> Int32?) -> Int32 {
    var hash = SplitMix64.mix(UInt64(order))
    for distance in (0..<order).reversed() {
      hash = SplitMix64.mix(hash ^ UInt64(token(distance).map { UInt32(bitPattern: $0) } ?? .max))
    }
    return Int32(hash.multipliedFullWidth(by: UInt64(count)).high)
  }
}

extension ModelConfig {
  /// Its tables of n-grams; none as a rule.
  package var ngrams: [NgramRows] {
    [NgramRows(order: 2, count: bigramRows), NgramRows(order: 3, count: trigramRows)]
      .filter { $0.count > 0 }
  }

  /// Numbers in the rows of all tables, which are not counted among the parameters.
  package var ngramNumbers: Int { ngrams.reduce(0) { $0 + $1.count * width } }
}
