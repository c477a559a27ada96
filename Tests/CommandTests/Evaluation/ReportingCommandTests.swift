import Foundation
import LMData
import Storage
import TestSupport
import Testing

/// Lists of words, tables, comparisons, lines for papers and pages, as a user gets them.
@Suite(.serialized) struct ReportingCommandTests {
  /// Common words that are seen often, and names that are not.
  private static func text(lines: Int) -> String {
    let subjects = ["the king", "a shepherd", "the old woman", "his brother", "the people"]
    let verbs = ["saw", "blessed", "followed", "did not know", "spoke to"]
    return (0..<lines).map { line in
      let mixed = line &* 2_654_435_761 >> 7
      let name = line % 9 == 0 ? "Name\(line)" : "him"
      return "\(subjects[mixed % 5]) \(verbs[mixed / 5 % 5]) \(name) ."
    }.joined(separator: "\n") + "\n"
  }

  private static func succeed(_ name: String, _ arguments: [String]) throws -> String {
    let outcome = try runProgram(name, arguments)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome.output
  }

  private static func json(_ text: String) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  /// Data with and without a list, and a model of each.
  private struct World {
    let folder: TemporaryFolder
    let words: String
    let test: String
    let plain: (data: String, run: String)
    let listed: (data: String, run: String)

    init() throws {
      folder = try TemporaryFolder()
      let text = try folder.write(ReportingCommandTests.text(lines: 1_500), to: "text.txt")
      test = try folder.write(
        "the king saw Melchizedek .\nhis brother blessed him .\n\nzzz <UNK>\n", to: "test.txt")
      words = folder.path + "/words.txt"
      let split = ["--split-valid", "0.05", "--split-test", "0.05"]
      let counted = try ReportingCommandTests.succeed(
        "lm-tokenize", ["--train", text] + split + ["--write-vocabulary", words])
      #expect(counted.contains("those seen at least 3 times"), "\(counted)")
      plain = (folder.path + "/plain", folder.path + "/run-plain")
      listed = (folder.path + "/listed", folder.path + "/run-listed")
      for (place, list) in [(plain, [String]()), (listed, ["--vocabulary", words])] {
        let made = try ReportingCommandTests.succeed(
          "lm-tokenize",
          ["--train", text] + split + ["--vocab-size", "300", "--model-type", "bpe"] + list
            + ["--output", place.data])
        #expect(made.contains("now <UNK>") == !list.isEmpty)
        _ = try ReportingCommandTests.succeed(
          "lm-train",
          [
            "--data", place.data, "--output", place.run, "--layers", "1", "--width", "16",
            "--heads", "2", "--hidden", "32", "--steps", "40", "--batch-tokens", "200", "--rate",
            "0.01", "--warmup", "5", "--log-every", "5", "--validate-every", "20",
            "--sample-every", "20", "--threads", "1",
          ])
      }
    }
  }

  /// A run that gets worse says where it was best, and that checkpoint is there to be scored.
  @Test func theBestCheckpointIsNamedWhereItIsNotTheLast() throws {
    let folder = try TemporaryFolder()
    let text = try folder.write(Self.text(lines: 600), to: "text.txt")
    let (data, run) = (folder.path + "/data", folder.path + "/run")
    _ = try Self.succeed(
      "lm-tokenize",
      ["--train", text, "--split-valid", "0.1", "--vocab-size", "300", "--model-type", "bpe"]
        + ["--output", data])
    let arguments = [
      "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
      "--hidden", "32", "--steps", "60", "--batch-tokens", "100", "--rate", "3", "--warmup", "50",
      "--schedule", "inverseSquareRoot", "--optimizer", "adamW", "--validate-every", "5",
      "--keep-last", "1", "--threads", "1",
    ]
    let outcome = try runProgram("lm-train", arguments)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let line = outcome.errors.split(separator: "\n").first { $0.contains("best on validation") }
    let best = try #require(line, "\(outcome.errors)")
    #expect(best.contains("step ") && !best.contains("the last step,"), "\(best)")
    let path = try #require(
      best.split(separator: " ").first { $0.hasPrefix(run) }?.trimmingCharacters(
        in: CharacterSet(charactersIn: ",")))
    #expect(Files.isDirectory(path) && !path.hasSuffix("00000060"), "\(path)")
    let figure = try #require(
      best.split(separator: " ").drop { $0 != "step" }.dropFirst(2).first, "\(best)")
    let scored = try Self.succeed(
      "lm-eval", ["--checkpoint", path, "--data", data, "--split", "valid", "--threads", "1"])
    #expect(scored.contains(figure), "\(best)\n\(scored)")
  }

  @Test func unknownWordsComparisonsAndPages() throws {
    let world = try World()
    let listedWords = String(
      decoding: try Files.contents(of: world.words), as: UTF8.self
    ).split(separator: "\n")
    #expect(listedWords.contains { $0.hasPrefix("the\t") })
    #expect(!listedWords.contains { $0.hasPrefix("Name") })

    try Self.checkUnknownWords(world)
    try Self.checkScores(world)
    try Self.checkSeveral(world)
    try Self.checkPaperLineAndPage(world)
  }

  private static func checkUnknownWords(_ world: World) throws {
    let arguments = ["--checkpoint", world.listed.run, "--text", world.test]
    let listed = try succeed("lm-eval", arguments + ["--vocabulary", world.words])
    // Melchizedek, zzz and <UNK> of 12 words.
    #expect(listed.contains("out of vocabulary"), "\(listed)")
    #expect(listed.contains("words (25.00 %) outside a list of"), "\(listed)")
    #expect(listed.contains("over 16 words (12 + 4 </s>)") && !listed.contains("note"))
    let figures = try json(
      succeed("lm-eval", arguments + ["--vocabulary", world.words, "--json"]))
    #expect(figures["out_of_vocabulary"] as? Int == 3 && figures["words"] as? Int == 12)

    // Without the list, or for a model that knows no <UNK>, it is said.
    #expect(try succeed("lm-eval", arguments).contains("give the same --vocabulary"))
    let plain = try succeed(
      "lm-eval",
      ["--checkpoint", world.plain.run, "--text", world.test, "--vocabulary", world.words])
    #expect(plain.contains("no token for <UNK>"), "\(plain)")

    // Shards made with the list, and shards made without it but scored with it, agree on the words.
    let shards = try json(
      succeed("lm-eval", ["--checkpoint", world.listed.run, "--data", world.listed.data, "--json"]))
    let remapped = try json(
      succeed(
        "lm-eval",
        [
          "--checkpoint", world.plain.run, "--data", world.plain.data, "--vocabulary",
          world.words, "--json",
        ]))
    let unknown = try #require(shards["out_of_vocabulary"] as? Int)
    #expect(unknown > 0 && remapped["out_of_vocabulary"] as? Int == unknown)
    for key in ["words", "sentences", "bytes"] {
      #expect(shards[key] as? Int == remapped[key] as? Int, "\(key)")
    }
    let other = try world.folder.write("the\nking\n", to: "other.txt")
    for arguments in [
      ["--data", world.listed.data, "--vocabulary", other],
      [
        "--data", world.plain.data, "--vocabulary", world.words, "--context", "stream", "--length",
        "9",
      ],
    ] {
      let run = arguments[1] == world.listed.data ? world.listed.run : world.plain.run
      let outcome = try runProgram("lm-eval", ["--checkpoint", run] + arguments)
      let list = arguments[1] == world.listed.data ? other : world.words
      #expect(outcome.status == 1 && outcome.errors.contains(list), "\(outcome.errors)")
    }
  }

  /// KenLM's lines: log10 with `</s>`, unknown words, one line a sentence in order.
  private static func checkScores(_ world: World) throws {
    let (kenlm, table) = (world.folder.path + "/kenlm", world.folder.path + "/table")
    let arguments = [
      "--checkpoint", world.listed.run, "--text", world.test, "--vocabulary", world.words,
    ]
    _ = try succeed("lm-eval", arguments + ["--score", kenlm, "--score-format", "kenlm"])
    _ = try succeed("lm-eval", arguments + ["--score", table, "--batch-tokens", "1"])
    func lines(_ path: String) throws -> [[Substring]] {
      String(decoding: try Files.contents(of: path), as: UTF8.self).split(separator: "\n").map {
        $0.split(separator: path == kenlm ? " " : "\t", omittingEmptySubsequences: false)
      }
    }
    let (totals, columns) = (try lines(kenlm), try lines(table).dropFirst())
    #expect(totals.count == 4 && columns.count == 4)
    #expect(totals.map { $0[3] } == ["1", "0", "0", "2"])
    for (total, column) in zip(totals, columns) {
      #expect(total[0] == "Total:" && total[2] == "OOV:" && total.count == 4)
      let nats = try #require(Double(column[0]))
      let logarithm = try #require(Double(total[1]))
      #expect(abs(logarithm + nats / log(10)) < 1e-9)
    }
    #expect(columns.first?[3] == "the king saw <UNK> .")
  }

  private static func checkSeveral(_ world: World) throws {
    let runs = [world.listed.run, world.plain.run]
    let text = ["--data", world.plain.data, "--split", "test", "valid"]
    let table = try succeed("lm-eval", ["--checkpoint", world.plain.run, world.plain.run] + text)
    #expect(table.contains("word ppl") && table.contains("split test + valid of"))
    let one = try json(succeed("lm-eval", ["--checkpoint", world.plain.run, "--json"] + text))
    let manifest = try DataSet(directory: world.plain.data).manifest
    #expect(
      one["words"] as? Int
        == manifest.totals(of: "test").words + manifest.totals(of: "valid").words)

    // Two models with other tokenizers, on text with the unknown words replaced for both.
    let sample = try world.folder.write(Self.text(lines: 200), to: "sample.txt")
    let arguments = ["--compare"] + runs + ["--text", sample, "--vocabulary", world.words]
    let compared = try succeed("lm-eval", arguments)
    #expect(compared.contains("paired bootstrap over 200 sentences (10,000 draws, seed 1)"))
    #expect(compared.contains("95 % interval") && compared.contains("two-sided"))
    let text1 = try succeed("lm-eval", arguments + ["--json", "--threads", "1"])
    let figures = try json(text1)
    let comparison = try #require(figures["comparison"] as? [String: Any])
    let words = try #require(comparison["word_perplexity"] as? [String: Any])
    let evaluations = try #require(figures["evaluations"] as? [[String: Any]])
    let perplexities = try evaluations.map {
      try #require(($0["figures"] as? [String: Any])?["word_perplexity"] as? Double)
    }
    let difference = try #require(words["value"] as? Double)
    #expect(abs(difference - (perplexities[0] - perplexities[1])) < 1e-6 * perplexities[1])
    #expect(try succeed("lm-eval", arguments + ["--json", "--threads", "2"]) == text1)
  }

  private static func checkPaperLineAndPage(_ world: World) throws {
    let text = ["--text", world.test, "--vocabulary", world.words]
    let model = ["--checkpoint", world.listed.run] + text
    let line = try succeed("lm-eval", model + ["--paper-line"])
    #expect(line.filter { $0 == "\n" }.count == 1)
    let weights = try SHA256.hexDigest(
      ofFile: world.listed.run + "/step-00000040/model.safetensors")
    var sum = MD5()
    sum.update(try Files.contents(of: world.test))
    let listSum = try SHA256.hexDigest(ofFile: world.words)
    let textSum = sum.finalize()
    for part in [
      "word perplexity", "the 12 words and 4 </s> of 4 sentences, <s> not counted",
      "MD5 \(textSum)", "context: each sentence alone, from <s>",
      "OOV: 3 words (25.00 %) outside a list of", "scored as <UNK>", "parameters",
      listSum, "model.safetensors SHA-256 \(weights)",
    ] { #expect(line.contains(part), "\(part) is not in \(line)") }
    // All but the time and the command, which are those of the line itself.
    func figures(_ line: String) -> String {
      line.components(separatedBy: "; computed by ")[0]
    }
    #expect(line.contains(": lm-eval --checkpoint \(world.listed.run) "))
    let older = try succeed("lm-eval", model + ["--report", "paper"])
    #expect(figures(older) == figures(line) && figures(line).count > 300)

    let before = try succeed("lm-eval", ["--report", world.listed.run])
    #expect(before.contains("report.html"))
    // Twice: the same evaluation is kept once.
    for _ in 0..<2 { _ = try succeed("lm-eval", model + ["--record"]) }
    _ = try succeed(
      "lm-eval", ["--checkpoint", world.listed.run, "--text", world.test, "--record"])
    let log = try Files.contents(of: world.listed.run + "/evaluations.jsonl")
    #expect(log.count { $0 == 10 } == 2)
    let page = world.folder.path + "/page.html"
    _ = try succeed("lm-eval", ["--report", world.listed.run, "--output", page])
    let html = String(decoding: try Files.contents(of: page), as: UTF8.self)
    #expect(html.contains("<footer>Written by lm-eval "))
    try checkPageOfTwo(world)
    for part in [
      "<svg", "nats per token", "Word perplexity by time", "Learning rate", "Gradient norm",
      "Throughput", "3 scored as &lt;UNK&gt;", "none, spelt exactly", "prefers-color-scheme",
      "Samples", "step 20", "model.hidden_size", "Configuration",
    ] { #expect(html.contains(part), "\(part) is not on the page") }
    // Nothing comes from elsewhere, and nothing runs.
    for part in ["http", "<script", "<link", "url(", "@import"] {
      #expect(!html.contains(part), "\(part) is on the page")
    }
  }

  /// What both have scored is tested in pairs, with the figures of `lm-eval compare`.
  private static func checkPageOfTwo(_ world: World) throws {
    let text = ["--text", world.test, "--vocabulary", world.words]
    _ = try succeed("lm-eval", ["--checkpoint", world.plain.run] + text + ["--record"])
    let page = world.folder.path + "/two.html"
    _ = try succeed(
      "lm-eval", ["report", world.listed.run, world.plain.run, "--output", page])
    let html = String(decoding: try Files.contents(of: page), as: UTF8.self)
    let compared = try succeed(
      "lm-eval", ["compare", world.listed.run, world.plain.run] + text)
    let row = try #require(compared.split(separator: "\n").first { $0.hasPrefix("nats per word") })
    let value = try #require(row.split(separator: " ").dropFirst(3).first, "\(row)")
    #expect(html.contains("<td>\(value) ± "), "\(row)")
    #expect(html.contains("run-listed (step 40) minus run-plain (step 40)"))
    #expect(html.contains("lm-eval report \(world.listed.run) \(world.plain.run)"))
    let twice = try runProgram("lm-eval", ["report", world.plain.run, world.plain.run])
    #expect(twice.status == 1 && twice.errors.contains("are the same run"))
    let verified = try succeed("lm-eval", ["verify", world.plain.run])
    #expect(verified.contains("sentences.jsonl: 1 line, all sums hold"), "\(verified)")
    // A changed digit is found, said on the page, and the rest of it stands.
    let log = world.plain.run + "/sentences.jsonl"
    let kept = String(decoding: try Files.contents(of: log), as: UTF8.self)
    try kept.replacing("\"nats\":[", with: "\"nats\":[1").write(
      toFile: log, atomically: true, encoding: .utf8)
    let damaged = try runProgram(
      "lm-eval", ["report", world.listed.run, world.plain.run, "--output", page])
    #expect(damaged.status == 1 && damaged.errors.contains("\(log), line 1 is damaged"))
    #expect(try runProgram("lm-eval", ["verify", world.plain.run]).status == 1)
    try kept.write(toFile: log, atomically: true, encoding: .utf8)
  }

  @Test func mistakesAreNamed() throws {
    let folder = try TemporaryFolder()
    let text = try folder.write("a a a b\n", to: "text")
    let broken = try folder.write("a 1\nb two\n", to: "list")
    let cases: [(String, [String], String)] = [
      (
        "lm-tokenize", ["--train", text, "--write-vocabulary", "x", "--output", "y"], "second step"
      ),
      (
        "lm-tokenize", ["--train", text, "--min-count", "2", "--output", "y"], "--write-vocabulary"
      ),
      (
        "lm-tokenize",
        ["--train", text, "--write-vocabulary", folder.path + "/w", "--min-count", "9"],
        "--min-count"
      ),
      (
        "lm-tokenize", ["--train", text, "--vocabulary", broken, "--output", folder.path + "/y"],
        "line 2"
      ),
      ("lm-eval", ["--report", folder.path], "not a run folder"),
      ("lm-eval", ["--report", "paper"], "--checkpoint"),
      ("lm-eval", ["--report", "x", "--checkpoint", "y", "--text", text], "paper"),
      ("lm-eval", ["--compare", "a", "--text", text], "two runs"),
      ("lm-eval", ["--compare", "a", "b", "--checkpoint", "c", "--text", text], "either"),
      ("lm-eval", ["--checkpoint", "a", "b", "--text", text, "--score", "s"], "one checkpoint"),
      ("lm-eval", ["--checkpoint", "a", "--text", text, "--score-format", "kenlm"], "--score"),
      ("lm-eval", ["--checkpoint", "a", "--data", "d", "--split", "x", "x"], "twice"),
    ]
    for (name, arguments, word) in cases {
      let outcome = try runProgram(name, arguments)
      #expect(outcome.status == 1 || outcome.status == 2, "\(name) \(arguments)")
      let error = outcome.errors.split(separator: "\n").filter { $0.lowercased().contains("error") }
      #expect(error.count == 1 && error[0].contains(word), "\(arguments): \(outcome.errors)")
    }
  }
}
