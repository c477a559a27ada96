import Bench
import LMData
import TestSupport
import Testing

struct SentencesTests {
  @Test func batchesHoldSoManySentencesOfTheShards() throws {
    let folder = try TemporaryFolder()
    let dataSet = try TinyDataSet.write(to: folder.path + "/data", shards: 2, sentences: 40)
    let all = try SentenceBatches(dataSet, split: "train", count: 3, sentences: 16)
    #expect(all.batches.map(\.sequences) == [16, 16, 16])
    let lines = all.lengths.split(separator: "\n").map { line in
      line.split(separator: " ").compactMap { Int($0) }
    }
    #expect(lines.map { $0.reduce(0, +) } == all.batches.map(\.positions))
    let padded = lines.map { $0.count * ($0.max() ?? 0) }.reduce(0, +)
    let tokens = all.batches.map(\.positions).reduce(0, +)
    #expect(all.padding == Double(padded) / Double(tokens) && all.padding > 1.2)
    // The sentences are those of the source, each once an epoch: 80 sentences make five batches.
    let epoch = try SentenceBatches(dataSet, split: "train", count: 5, sentences: 16)
    let totals = dataSet.manifest.totals(of: "train")
    #expect(
      epoch.batches.map(\.positions).reduce(0, +) == totals.tokens + totals.sentences)
    let short = try SentenceBatches(dataSet, split: "train", count: 2, sentences: 8, longest: 5)
    #expect(short.batches.allSatisfy { $0.positions <= 40 })
  }
}
