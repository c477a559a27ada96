import Foundation
import TestSupport
import Testing

/// Scores of words and figures of parts of a text, as a user gets them.
@Suite(.serialized) struct ScoreCommandTests {
  /// A run whose words have one token or several, and the text that it has seen.
  private struct World {
    let folder: TemporaryFolder
    let data: String
    let run: String
    let text: String
    let lines: [String]

    init() throws {
      folder = try TemporaryFolder()
      let names = [
        "birch", "elms", "mapled", "oak", "willows", "yew", "stood", "near", "a", "brook",
      ]
      func line(_ number: Int) -> String {
        var words: [String] = []
        for place in 0..<number % 11 {
          words.append(names[(number * 7 + place * place * 3 + number / 10) % 10])
        }
        return words.joined(separator: " ")
      }
      let training = (0..<900).map(line).joined(separator: "\n") + "\n"
      lines = [" two  spaces ", "", "naïve — café\t(unseen)"] + (1_000..<1_200).map(line)
      text = try folder.write(lines.joined(separator: "\n") + "\n", to: "items.txt")
      (data, run) = (folder.path + "/data", folder.path + "/run")
      for (name, arguments) in [
        (
          "lm-tokenize",
          [
            "--train", try folder.write(training, to: "training.txt"), "--split-valid", "0.05",
            "--split-test", "0.05", "--vocab-size", "284", "--model-type", "bpe", "--output", data,
          ]
        ),
        (
          "lm-train",
          [
            "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
            "--hidden", "32", "--steps", "30", "--batch-tokens", "300", "--rate", "0.02",
            "--warmup", "2",
          ]
        ),
      ] {
        let outcome = try runProgram(name, arguments)
        try #require(outcome.status == 0, "\(outcome.errors)")
      }
    }

    func evaluate(_ arguments: String, input: String = "") throws -> ProgramOutcome {
      try runProgram("lm-eval", arguments.split(separator: " ").map(String.init), input: input)
    }
  }

  private static func objects(_ text: String) throws -> [[String: Any]] {
    try text.split(separator: "\n").map {
      try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
  }

  private static func rows(_ text: String) -> [[String]] {
    text.split(separator: "\n").dropFirst().map {
      $0.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
    }
  }

  @Test func wordsAddUpToTheirSentences() throws {
    let world = try World()
    let model = "--checkpoint \(world.run) --text \(world.text)"
    // Files, as all the words are more than a pipe holds.
    func score(_ options: String) throws -> String {
      let path = world.folder.path + "/scores"
      let outcome = try world.evaluate("score \(model) --output \(path) \(options)")
      try #require(outcome.status == 0, "\(outcome.errors)")
      return try String(contentsOfFile: path, encoding: .utf8)
    }
    let sentences = try score("")
    let words = try score("--per-word")
    let json = try score("--per-word --format jsonl")
    let nats = Self.rows(sentences).map { Double($0[0]) ?? .nan }
    #expect(nats.count == world.lines.count)
    let rows = Self.rows(words)
    let objects = try Self.objects(json)
    #expect(rows.count == objects.count)
    for ((row, object), line) in zip(zip(rows, objects), json.split(separator: "\n")) {
      #expect(row[0] == world.text && object["name"] as? String == world.text)
      // The same digits: Foundation reads them less exactly.
      #expect(line.contains("\"naive_nats\":\(row[5]),") && line.contains("\"nats\":\(row[7]),"))
      #expect(row[4] == (object["tokens"] as? [String])?.joined(separator: " "))
    }
    var several = 0
    for (number, line) in world.lines.enumerated() {
      let own = rows.filter { $0[1] == "\(number + 1)" }
      let expected = line.split { " \t".contains($0) }.map(String.init) + ["</s>"]
      #expect(own.map { $0[3] } == expected)
      #expect(own.map { $0[2] } == (1...own.count).map(String.init))
      for column in [5, 7] {
        let sum = own.reduce(0.0) { (sum: Double, row: [String]) in
          sum + (Double(row[column]) ?? .nan)
        }
        #expect(abs(sum - nats[number]) < 1e-9, "\(line)")
      }
      for row in own {
        let (nats, bits) = (Double(row[7]) ?? 0, Double(row[8]) ?? .nan)
        #expect(abs(nats / M_LN2 - bits) < 1e-9)
        if row[4].contains(" ") { several += 1 }
      }
    }
    #expect(several > 20)
    // The same in the older spelling, and by themselves on standard output where that is asked for.
    let path = world.folder.path + "/words.tsv"
    let old = try world.evaluate("\(model) --score \(path) --per-word")
    #expect(old.status == 0 && old.output.contains("word perplexity"))
    #expect(try String(contentsOfFile: path, encoding: .utf8) == words)
    let piped = try world.evaluate(
      "score --checkpoint \(world.run) --text - --per-word",
      input: world.lines.prefix(20).joined(separator: "\n") + "\n")
    #expect(piped.status == 0 && piped.output.count > 1_000)
    #expect(
      words.hasPrefix(piped.output.replacing("standard input\t", with: world.text + "\t")))
  }

  /// Again by numpy, where Python has what it takes; scripts/check-scores.sh fetches it.
  @Test(.enabled(if: python != nil)) func wordsAreThoseOfTheIndependentComputation() throws {
    let world = try World()
    let (scores, words) = (world.folder.path + "/scores", world.folder.path + "/words")
    for options in ["--output \(scores)", "--output \(words) --per-word"] {
      let outcome = try world.evaluate(
        "score --checkpoint \(world.run) --text \(world.text) \(options)")
      try #require(outcome.status == 0, "\(outcome.errors)")
    }
    let script = try #require(Self.repository) + "/scripts/reference/surprisal.py"
    func check() throws -> ProgramOutcome {
      try runProgram(
        "", [],
        shell: "'\(try #require(Self.python))' '\(script)' '\(world.run)' '\(scores)' '\(words)'")
    }
    let outcome = try check()
    #expect(outcome.status == 0 && outcome.output.contains("words, at most"), "\(outcome)")
    // A figure that is moved to its neighbour leaves the sums and is found.
    var lines = try String(contentsOfFile: words, encoding: .utf8).components(separatedBy: "\n")
    let row = try #require(lines.firstIndex { $0.contains("\t150\t1\t") })
    for (place, change) in [(row, 1e-3), (row + 1, -1e-3)] {
      var cells = lines[place].components(separatedBy: "\t")
      let units: [(Int, Double)] = [(7, 1), (8, M_LN2)]
      for (column, unit) in units {
        cells[column] = "\((Double(cells[column]) ?? .nan) + change / unit)"
      }
      lines[place] = cells.joined(separator: "\t")
    }
    try lines.joined(separator: "\n").write(toFile: words, atomically: true, encoding: .utf8)
    let moved = try check()
    #expect(moved.status == 1 && moved.errors.contains("sentence 150, word"), "\(moved)")
  }

  private static let repository: String? = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  /// A Python with numpy and sentencepiece, as scripts/check-scores.sh looks for one.
  private static let python: String? = {
    let made = (repository ?? "") + "/.build/reference-python/bin/python"
    return [ProcessInfo.processInfo.environment["PYTHON"], "python3", made].compactMap { $0 }.first
    {
      let outcome = try? runProgram(
        "", [], shell: "'\($0)' -c 'import numpy, sentencepiece' 2>/dev/null")
      return outcome?.status == 0
    }
  }()

  @Test func partsOfATextHaveFiguresOfTheirOwn() throws {
    let world = try World()
    let other = try world.folder.write("a birch stood\n\nnear\n", to: "other.txt")
    let model = "--checkpoint \(world.run)"
    let files = "--text \(world.text) \(other)"
    let plain = try world.evaluate("\(model) \(files)")
    let asked = "--per-file --by-frequency \(world.data) --by-position"
    let table = try world.evaluate("perplexity \(model) \(files) \(asked)")
    #expect(table.status == 0, "\(table.errors)")
    // What was there stays; the rest is below.
    #expect(table.output.hasPrefix(String(plain.output.dropLast())))
    let lines = table.output.split(separator: "\n")
    #expect(lines.contains { $0.hasPrefix(other + " ") })
    #expect(lines.contains { $0.hasPrefix("total") && $0.contains("206") })
    #expect(
      lines.contains { $0.hasPrefix("3 to 4 ") } && lines.contains { $0.hasPrefix("100 to 999 ") })

    let json = try world.evaluate("\(model) \(files) \(asked) --json")
    let object = try #require(
      JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    let nats = try #require(object["nats"] as? Double)
    let own = try #require(object["files"] as? [[String: Any]])
    #expect(own.map { $0["name"] as? String } == [world.text, other])
    #expect(own.map { $0["sentences"] as? Int } == [203, 3])
    for key in ["files", "by_frequency", "by_position"] {
      let parts = try #require(object[key] as? [[String: Any]])
      let sum = parts.reduce(0.0) { (sum: Double, part: [String: Any]) in
        sum + (part["nats"] as? Double ?? .nan)
      }
      #expect(abs(sum - nats) < 1e-9, "\(key)")
    }
    // A file by itself has the figures that it has among others.
    let alone = try world.evaluate("\(model) --text \(other) --json")
    let figures = try #require(
      JSONSerialization.jsonObject(with: Data(alone.output.utf8)) as? [String: Any])
    for key in ["nats", "word_perplexity", "bits_per_byte"] {
      #expect(figures[key] as? Double == own[1][key] as? Double && figures[key] is Double, "\(key)")
    }
    // Without a flag the keys are those of before.
    #expect(figures["files"] == nil && figures["by_position"] == nil)
  }

  @Test func standardInputIsAText() throws {
    let world = try World()
    let named = try world.evaluate("--checkpoint \(world.run) --text \(world.text) --json")
    let piped = try world.evaluate(
      "--checkpoint \(world.run) --text - --json", input: world.lines.joined(separator: "\n") + "\n"
    )
    #expect(piped.output == named.output && piped.output.hasPrefix("{"))
    #expect(piped.output.hasSuffix("}\n"))
  }

  @Test func windowsMayOverlap() throws {
    let world = try World()
    let stream = "--checkpoint \(world.run) --data \(world.data) --context stream --length 16"
    func figures(_ options: String) throws -> [String: Any] {
      let outcome = try world.evaluate("\(stream) \(options) --json")
      return try #require(
        JSONSerialization.jsonObject(with: Data(outcome.output.utf8)) as? [String: Any],
        "\(outcome.errors)")
    }
    let (apart, whole, overlapping) = try (
      figures(""), figures("--stride 16"), figures("--stride 4 --by-frequency \(world.data)")
    )
    #expect(apart["nats"] as? Double == whole["nats"] as? Double)
    #expect(overlapping["tokens"] as? Int == apart["tokens"] as? Int)
    #expect(overlapping["nats"] as? Double != apart["nats"] as? Double)
    #expect(overlapping["by_frequency"] != nil)
    let line = try world.evaluate("\(stream) --stride 4 --paper-line")
    #expect(line.output.contains("each after at least 12 tokens of context (stride 4)"))
  }

  @Test func whatDoesNotGoTogetherIsRefused() throws {
    let model = "--checkpoint x --text y"
    for (arguments, sentence) in [
      ("score \(model) --per-word --per-token", "give --per-token or --per-word, not both"),
      ("score \(model) --per-word --format kenlm", "KenLM has none for words"),
      ("\(model) --per-word", "--per-word belongs to --score FILE"),
      ("\(model) --score z --per-word --score-format kenlm", "KenLM has none for words"),
      ("perplexity --checkpoint x --data y --per-file", "--per-file belongs to --text"),
      ("perplexity \(model) --per-file --paper-line", "a line for a paper is of the whole text"),
      (
        "perplexity --checkpoint x --data y --context stream --length 9 --by-position",
        "--by-position needs --context sentence"
      ),
      ("\(model) --by-position --audit", "leave out --audit, --compare and --score"),
      ("--compare x z --text y --per-file", "leave out --audit, --compare and --score"),
      ("\(model) --score z --per-file", "leave out --audit, --compare and --score"),
      ("perplexity \(model) --stride 3", "--stride belongs to --context stream --length N"),
      (
        "perplexity --checkpoint x --data y --context stream --length 9 --stride 10",
        "--stride is 10, expected 1 to --length, 9"
      ),
      (
        "perplexity --checkpoint x --data y --context stream --length 9 --stride 0",
        "--stride is 0, expected 1 to --length, 9"
      ),
    ] {
      let outcome = try runProgram("lm-eval", arguments.split(separator: " ").map(String.init))
      #expect(outcome.status == 2 && outcome.output.isEmpty, "\(arguments): \(outcome)")
      #expect(outcome.errors.contains(sentence), "\(arguments): \(outcome.errors)")
    }
    let world = try World()
    let none = try world.evaluate(
      "--checkpoint \(world.run) --text \(world.text) --by-frequency \(world.folder.path)")
    #expect(none.status == 1 && none.errors.split(separator: "\n").count == 1, "\(none.errors)")
  }
}
