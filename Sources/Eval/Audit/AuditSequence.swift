/// One sequence that an audit reads: inputs `[n]` and the tokens that follow them `[n]`.
package struct AuditSequence: Sendable {
  package let ids: [Int32]
  package let targets: [Int32]
  /// For messages, for example a file and a line.
  package let place: String

  package init(ids: [Int32], targets: [Int32], place: String) {
    precondition(ids.count == targets.count && !ids.isEmpty)
    self.ids = ids
    self.targets = targets
    self.place = place
  }

  /// The first `count` positions, or all if there are fewer.
  package func prefix(_ count: Int) -> AuditSequence {
    AuditSequence(
      ids: Array(ids.prefix(count)), targets: Array(targets.prefix(count)), place: place)
  }

  /// A sentence between its markers.
  package init(sentence: [Int32], bos: Int32, eos: Int32, place: String) {
    self.init(ids: [bos] + sentence, targets: sentence + [eos], place: place)
  }

  /// Sentences one after the other as one running text, cut after `length` tokens.
  package init(joining sentences: [AuditSequence], length: Int, place: String) {
    var targets: [Int32] = []
    for sentence in sentences where targets.count < length { targets += sentence.targets }
    targets = Array(targets.prefix(length))
    self.init(ids: [sentences[0].ids[0]] + targets.dropLast(), targets: targets, place: place)
  }
}
