import Storage
import TestSupport
import Testing
import Train

/// What earlier versions, which called tokens pieces, have left in a run.
@Suite struct EarlierKeysTests {
  private static func events(_ tags: [String], run: Int) -> [UInt8] {
    let version = EventRecord.framed(EventRecord.version(wallTime: 1))
    return (1...3).reduce(into: version) { bytes, step in
      let values = tags.enumerated().map { (tag: $1, value: Double($0 * step + run)) }
      bytes += EventRecord.framed(EventRecord.scalars(values, step: step, wallTime: Double(step)))
    }
  }

  /// A run that goes on has one curve of each figure; whoever reads along finds the next record where
  /// it is expected.
  @Test func tagsOfEventsAreReplaced() throws {
    let folder = try TemporaryFolder()
    let earlier = Self.events(
      ["train/nats_per_piece", "valid/nats_per_piece", "train/pieces_per_second", "train/pieces"],
      run: 7)
    let today = Self.events(
      ["train/nats_per_token", "valid/nats_per_token", "train/tokens_per_second", "train/tokens"],
      run: 7)
    let path = try folder.write(earlier, to: EventLog.name)
    _ = try EventLog(run: folder.path, keepingUpTo: 3)
    #expect(try Files.contents(of: path) == today && earlier.count == today.count)
    // A record that a crash has cut short goes, as ever.
    try folder.write(Array(earlier.dropLast(5)), to: EventLog.name)
    _ = try EventLog(run: folder.path, keepingUpTo: 3)
    let whole = EventLog.length(of: today, keepingUpTo: 2)
    #expect(try Files.contents(of: path) == Array(today.prefix(whole)))
  }

  @Test func incidentsAreRead() throws {
    let today = """
      {"cursor":{"epoch":0,"sentence":7,"shard":1},"gradientNorm":2.5,"kind":"spike",\
      "natsPerToken":9.25,"sequences":3,"step":4,"threshold":8.5,"tokens":90}
      """
    let earlier = today.replacing("Token", with: "Piece").replacing("tokens", with: "pieces")
    let incidents = try [today, earlier].map {
      try JSONFile.decode(Incident.self, from: Array($0.utf8), path: "incident")
    }
    #expect(incidents[0] == incidents[1] && incidents[1].tokens == 90)
    #expect(incidents[1].natsPerToken == 9.25)
  }
}
