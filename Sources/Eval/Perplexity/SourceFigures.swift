/// The figures of one of several files that are scored as one text.
package struct SourceFigures: Sendable, Equatable, Encodable {
  package let name: String
  package let tally: Tally

  package init(name: String, tally: Tally) {
    self.name = name
    self.tally = tally
  }

  private enum Key: String, CodingKey { case name }

  package func encode(to encoder: any Encoder) throws {
    // The figures have the same keys as those of the whole.
    try PerplexityReport.encode(tally, to: encoder)
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(name, forKey: .name)
  }
}
