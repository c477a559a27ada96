import Eval
import Foundation
import LMData
import Model
import Provenance
import Report
import Storage
import TestSupport
import Testing
import Train

/// Several runs on one page.
@Suite struct RunsPageTests {
  private static let provenance = Provenance(
    program: "lm-eval 1.0", commit: "unknown", host: "here", time: "2026-11-28T03:20:00Z",
    command: "lm-eval report a b")

  /// A run folder as the trainer leaves it after a number of lines.
  private func run(
    _ path: String, lines: Int, validations: Int, width: Int = 64, steps: Int? = nil
  ) throws {
    try Files.createDirectory(path)
    var config = try Preset.named("quickstart").config(vocabularySize: 300)
    config.model.width = width
    config.steps = steps ?? 10 * lines
    try JSONFile.write(config, to: path + "/config.json")
    let log = try MetricsLog(run: path, keepingUpTo: 0)
    for (kind, count) in [("train", lines), ("valid", validations)] {
      for line in 1..<(count + 1) {
        try log.append(
          try JSONFile.decode(
            Metrics.self,
            from: Array(
              """
              {"kind":"\(kind)","step":\(10 * line),"tokens":\(4_000 * line),"natsPerToken":\
              \(9 / Double(line)),"wordPerplexity":\(9_000 / Double(line)),"learningRate":0.001,\
              "trainedSeconds":\(2 * line)}
              """.utf8), path: "line"))
      }
    }
  }

  private func record(_ weights: String, text: String = "t", nats: Double) -> EvaluationRecord {
    EvaluationRecord(
      checkpoint: "run/step-00000010", step: 10, weightsSHA256: weights, parameters: 5,
      attention: "softmax", tokenizerSHA256: "k", vocabularySize: 300, text: "split test",
      textSums: TextSums(md5: "m", sha256: text), textIsMapped: false, window: nil,
      outOfVocabulary: nil,
      tally: Tally(nats: nats, tokens: 90, sentences: 30, words: 60, bytes: 300),
      standardError: 1.25)
  }

  private func sums(_ nats: Double) -> [SentenceSum] {
    (0..<30).map { SentenceSum(nats: nats + Double($0 % 7), units: 3) }
  }

  private func page(_ paths: [String]) throws -> String {
    RunsPage(try ComparedRun.all(of: paths), provenance: Self.provenance).html
  }

  @Test func runsOfAnyLengthStandOnOnePage() throws {
    let folder = try TemporaryFolder()
    let paths = ["one", "two", "three"].map { folder.path + "/" + $0 }
    try run(paths[0], lines: 300, validations: 20)
    try run(paths[1], lines: 5, validations: 1, width: 32, steps: 1_000)
    try run(paths[2], lines: 1, validations: 0)
    let html = try page(paths)
    #expect(html.contains("<title>3 runs: best 450.0 per word of one, of one, two, three</title>"))
    #expect(html.contains("50 of 1,000, unfinished") && html.contains("3,000, all"))
    #expect(html.contains("Without validation: three"))
    #expect(html.contains("<td>model.hidden_size</td><td>64</td><td>32</td><td>64</td>"))
    // What is the same everywhere is no difference.
    #expect(!html.contains("<td>seed</td>") && !html.contains("<td>optimizer.rate</td>"))
    for part in ["by tokens", "by time", "by work", "polyline.run-3", "stroke-dasharray: 9 4"] {
      #expect(html.contains(part), "\(part)")
    }
    #expect(
      html.contains(
        "<footer>Written by lm-eval 1.0 (commit unknown) on here at 2026-11-28T03:20:00Z: "
          + "<code>lm-eval report a b</code></footer>"))
    #expect(!html.contains("nan") && !html.contains("http") && !html.contains("<script"))
    for tag in ["svg", "figure", "section", "div", "table", "span", "text", "path"] {
      let opened = html.components(separatedBy: "<\(tag)").count
      #expect(opened == html.components(separatedBy: "</\(tag)>").count, "\(tag)")
    }
    // Every line of a run is told from those of others by its dashes and markers.
    #expect(html.components(separatedBy: "<polyline class=\"run-1\"").count == 1 + 6 + 2)
  }

  /// The test of the page is that of `lm-eval compare`, on what was kept when the texts were scored.
  @Test func runsAreTestedInPairsWhereBothKeptTheirSentences() throws {
    let folder = try TemporaryFolder()
    let paths = ["a", "b", "c"].map { folder.path + "/" + $0 }
    for (index, path) in paths.enumerated() {
      try run(path, lines: 3, validations: 1)
      let record = record("w\(index)", nats: 200 + Double(index))
      try EvaluationLog.add(record, run: path)
      let kept = try #require(SentenceRecord(record, sums(5 + 0.1 * Double(index))))
      if index < 2 { try kept.add(to: path) }
    }
    let html = try page(paths)
    let test = try #require(PairedBootstrap(sums(5), sums(5.1)))
    #expect(html.contains("<td>a (step 10) minus b (step 10)</td>"))
    #expect(html.contains(String(format: "%.4f", test.natsPerWord.value)))
    #expect(html.contains("<td>\(String(format: "%.4f", test.probability))</td>"))
    #expect(html.contains("No sentences are kept of c (step 10)"))
    #expect(!html.contains("minus c"))
    // Of another text there is another table and no test.
    try EvaluationLog.add(record("w0", text: "u", nats: 90), run: paths[0])
    #expect(try page(paths).components(separatedBy: "split test,").count == 3)
  }

  @Test func sentencesAreReadAsTheyWereWritten() throws {
    let folder = try TemporaryFolder()
    let record = record("w", nats: 3)
    let sums = [1.0 / 3, 1e-300, 123_456.789_012_345].map { SentenceSum(nats: $0, units: 4) }
    let kept = try #require(SentenceRecord(record, sums))
    for _ in 0..<2 { try kept.add(to: folder.path) }
    let log = try SentenceRecord.contents(run: folder.path)
    #expect(log.entries.count == 1 && log.entries[0].entry.sums == sums)
    #expect(kept.belongs(to: record) && !kept.belongs(to: self.record("v", nats: 3)))
    // Running text has windows and no sentences.
    #expect(SentenceRecord(record, []) == nil)
  }

  @Test func whatCannotStandSideBySideIsOneSentence() throws {
    let folder = try TemporaryFolder()
    let path = folder.path + "/run"
    try run(path, lines: 2, validations: 1)
    #expect(throws: ReportError.givenTwice(path, path + "/")) { try page([path, path + "/"]) }
    #expect(throws: ReportError.notARun(path: folder.path)) { try page([path, folder.path]) }
    let many = (0..<9).map { "\(path)-\($0)" }
    #expect(throws: ReportError.tooMany(9, most: 8)) { try page(many) }
  }

  @Test func namesAreAsLongAsItTakes() {
    #expect(ComparedRun.distinctNames(["/x/a", "/x/b"]) == ["a", "b"])
    #expect(ComparedRun.distinctNames(["/x/s1/run", "/x/s2/run"]) == ["s1/run", "s2/run"])
    #expect(ComparedRun.distinctNames(["run", "/y/run"]) == ["run", "y/run"])
  }
}
