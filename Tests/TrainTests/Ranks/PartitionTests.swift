import Model
import Tensor
import Testing
import Train

/// How weights are dealt to ranks.
@Suite struct PartitionTests {
  private static let layout = ParameterLayout(
    ModelConfig(vocabularySize: 1_500, width: 96, layers: 3, heads: 4, hidden: 300))

  private static func partition(_ ranks: Int, isMuon: Bool) -> Partition {
    Partition(layout, ranks: ranks) { isMuon && $0.role == .hidden }
  }

  @Test(arguments: [false, true]) func everyWeightHasOneOwner(isMuon: Bool) {
    for ranks in 1...9 {
      let partition = Self.partition(ranks, isMuon: isMuon)
      var next = Self.layout.count
      for segment in partition.segments {
        #expect(segment.range.upperBound == next)
        next = segment.range.lowerBound
        #expect(
          (0..<ranks).flatMap { Array(segment.owned(by: $0)) } == Array(segment.range))
      }
      #expect(next == 0)
      let all = (0..<ranks).flatMap { partition.owned(by: $0) }
        .sorted { $0.lowerBound < $1.lowerBound }
      #expect(all.reduce(0) { $0 + $1.count } == Self.layout.count)
      #expect((0..<ranks).reduce(0) { $0 + partition.count(of: $1) } == Self.layout.count)
    }
  }

  /// Each run of squares is added up by one rank, which has all of it.
  @Test(arguments: [false, true]) func runsAreWhole(isMuon: Bool) {
    for ranks in 1...9 {
      let partition = Self.partition(ranks, isMuon: isMuon)
      let runs = (0..<ranks).flatMap { partition.runs(of: $0) }.sorted()
      #expect(runs == Array(stride(from: 0, to: Self.layout.count, by: Squares.run)))
      for rank in 0..<ranks {
        let needed = partition.segments.map { $0.needed(by: rank) }
        for first in partition.runs(of: rank) {
          let run = first..<min(Self.layout.count, first + Squares.run)
          #expect(
            needed.contains { $0.contains(run.lowerBound) && $0.upperBound >= run.upperBound })
        }
      }
    }
  }

  @Test func matricesOfMuonStayWhole() {
    for ranks in 1...9 {
      let partition = Self.partition(ranks, isMuon: true)
      for slot in Self.layout.slots where slot.role == .hidden {
        let owners = (0..<ranks).filter { rank in
          partition.owned(by: rank).contains { $0.overlaps(slot.offset..<slot.offset + slot.count) }
        }
        #expect(owners.count == 1, "\(slot.name) of \(ranks) ranks")
      }
    }
  }

  /// What the backward pass finishes with a stage is not touched by later ones.
  @Test func segmentsAreFinishedWithTheirStage() {
    let partition = Self.partition(2, isMuon: false)
    #expect(partition.segments.count > 2)
    for segment in partition.segments {
      #expect(segment.range.lowerBound >= Self.layout.stages[segment.stage])
    }
  }
}
