import Foundation
import TestSupport
import Testing

/// `lm-eval` with subcommands, and with flags in their place.
@Suite(.serialized) struct EvaluationSpellingTests {
  /// A run of a few steps, its data and a text.
  private struct World {
    let folder: TemporaryFolder
    let data: String
    let run: String
    let words: String
    let text: String
    let lines: String

    init() throws {
      folder = try TemporaryFolder()
      let names = ["birch", "elm", "maple", "oak", "willow", "yew", "stands", "near", "a", "brook"]
      func lines(_ numbers: Range<Int>) -> String {
        var text = ""
        for line in numbers {
          let words = (0..<5).map { word in names[(line * 7 + word * 3 + line / 10) % 10] }
          text += words.joined(separator: " ") + " .\n"
        }
        return text
      }
      let training = try folder.write(lines(0..<600), to: "training.txt")
      self.lines = lines(900..<930)
      text = try folder.write(self.lines, to: "test.txt")
      words = try folder.write(names.prefix(7).joined(separator: "\n") + "\n", to: "words.txt")
      (data, run) = (folder.path + "/data", folder.path + "/run")
      for (name, arguments) in [
        (
          "lm-tokenize",
          [
            "--train", training, "--split-valid", "0.05", "--split-test", "0.05", "--vocab-size",
            "290", "--model-type", "bpe", "--output", data,
          ]
        ),
        (
          "lm-train",
          [
            "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
            "--hidden", "32", "--steps", "2", "--checkpoint-every", "1", "--batch-tokens", "200",
            "--attention", "yoso:hashes=4,bits=3",
          ]
        ),
      ] {
        let outcome = try runProgram(name, arguments)
        try #require(outcome.status == 0, "\(outcome.errors)")
      }
    }
  }

  /// What a program says apart from its speed, and from the time and the command of a line to be quoted.
  private static func steady(_ outcome: ProgramOutcome) -> [String] {
    let lines = outcome.errors.split(separator: "\n").filter { !$0.hasSuffix("/s") }
    let output = outcome.output.components(separatedBy: "; computed by ")[0]
    return ["\(outcome.status)", output] + lines.map(String.init)
  }

  /// A file without the line of a page that says when and by what command it was written.
  private static func undated(_ path: String) throws -> String {
    let text = try String(contentsOfFile: path, encoding: .utf8)
    return text.split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.hasPrefix("<footer>") }.joined(separator: "\n")
  }

  private static func words(_ line: String) -> [String] {
    line.split(separator: " ").map(String.init)
  }

  @Test func bothSpellingsDoTheSame() throws {
    let world = try World()
    let (run, first) = (world.run, world.run + "/step-00000001")
    let text = "--text \(world.text)"
    let data = "--data \(world.data)"
    var cases: [(flags: String, subcommand: String)] = []
    for options in [
      "\(data) --split test valid", "\(data) --json --hash-seeds 0", "\(text) --paper-line",
      "\(data) --context stream --length 9",
      "\(data) --context stream --length 9 --stride 4", "\(data) --context stream --stride 4",
      "\(text) --per-file --by-frequency \(world.data) --by-position", "\(data) --per-file",
      "\(text) --vocabulary \(world.words) --threads 1",
      "\(text) --record", "--text - --json", "--text /none", "--checkpoint /none \(text)",
      "\(text) --batch-tokens 0", "\(text) --json --paper-line", "\(text) \(data)",
      "\(text) --vocabulary -", "\(data) --split test test",
    ] {
      let model = options.contains("--checkpoint") ? "" : "--checkpoint \(run) "
      cases.append((model + options, "perplexity \(model)\(options)"))
      cases.append(("--perplexity \(model)\(options)", "perplexity \(model)\(options)"))
    }
    cases += [
      ("--checkpoint \(run) \(first) \(text)", "perplexity --checkpoint \(run) \(first) \(text)"),
      (
        "--checkpoint \(run) \(text) --report paper",
        "perplexity --checkpoint \(run) \(text) --paper-line"
      ),
      ("--compare \(first) \(run) \(text)", "compare \(first) \(run) \(text)"),
      ("--compare \(first) \(run) --text - --json", "compare \(first) \(run) --text - --json"),
      ("--checkpoint \(run) \(text) --score -", "score --checkpoint \(run) \(text)"),
      (
        "--checkpoint \(run) --text - --score - --per-token",
        "score --checkpoint \(run) --text - --per-token"
      ),
      (
        "--checkpoint \(run) \(text) --score - --score-format kenlm",
        "score --checkpoint \(run) \(text) --format kenlm"
      ),
      (
        "--checkpoint \(run) \(text) --score - --per-word",
        "score --checkpoint \(run) \(text) --per-word"
      ),
      (
        "--checkpoint \(run) \(text) --score - --per-word --score-format jsonl",
        "score --checkpoint \(run) \(text) --per-word --format jsonl"
      ),
      ("--audit --checkpoint \(run)", "audit --checkpoint \(run)"),
      ("--audit --checkpoint \(run) --text -", "audit --checkpoint \(run) --text -"),
      (
        "--audit --checkpoint \(run) \(data) --audit-sentences 3 --json",
        "audit --checkpoint \(run) \(data) --sentences 3 --json"
      ),
      ("--verify \(run)", "verify \(run)"), ("--verify /none", "verify /none"),
      ("--report /none", "report /none"), ("--report \(run)", "report \(run)"),
      ("--checkpoint \(run) \(text) --json -", "perplexity --checkpoint \(run) \(text) --json -"),
    ]
    for (flags, subcommand) in cases {
      let old = try runProgram("lm-eval", Self.words(flags), input: world.lines)
      let new = try runProgram("lm-eval", Self.words(subcommand), input: world.lines)
      if old.status == 2 {
        // Below the same sentence, each has its own usage.
        #expect(new.status == 2 && !old.errors.isEmpty, "\(subcommand): \(new)")
        #expect(
          old.errors.split(separator: "\n").first == new.errors.split(separator: "\n").first,
          "\(flags)")
      } else {
        #expect(Self.steady(old) == Self.steady(new), "\(flags)\n\(subcommand)")
      }
    }
  }

  @Test func bothSpellingsWriteTheSameFiles() throws {
    let world = try World()
    let (old, new) = (world.folder.path + "/old", world.folder.path + "/new")
    for (flags, subcommand) in [
      (
        "--checkpoint \(world.run) --text \(world.text) --score \(old) --per-token",
        "score --checkpoint \(world.run) --text \(world.text) --output \(new) --per-token"
      ),
      ("--report \(world.run) --output \(old)", "report \(world.run) --output \(new)"),
      ("--report \(world.run) -o \(old)", "report \(world.run) -o \(new)"),
    ] {
      for (line, path) in [(flags, old), (subcommand, new)] {
        let outcome = try runProgram("lm-eval", Self.words(line))
        #expect(outcome.status == 0, "\(line): \(outcome.errors)")
        #expect(FileManager.default.fileExists(atPath: path))
      }
      let (one, other) = (try Self.undated(old), try Self.undated(new))
      #expect(one == other && one.utf8.count > 100, "\(subcommand)")
      for path in [old, new] { try FileManager.default.removeItem(atPath: path) }
    }
    // A text is never written over.
    for line in [
      "--checkpoint \(world.run) --text \(world.text) --score \(world.text)",
      "score --checkpoint \(world.run) --text \(world.text) --output \(world.text)",
    ] {
      let outcome = try runProgram("lm-eval", Self.words(line))
      #expect(outcome.status == 1 && outcome.errors.contains("written over"), "\(outcome.errors)")
    }

    // Damage and signals end both in the same way.
    for line in [
      "--audit --checkpoint \(world.run) --audit-sentences 20000",
      "audit --checkpoint \(world.run) --sentences 20000",
    ] {
      let stopped = try runProgram(
        "lm-eval", Self.words(line), signal: (SIGTERM, after: "auditing"))
      #expect(stopped.status == 128 + SIGTERM, "\(line): \(stopped)")
      #expect(stopped.errors.contains("lm-eval: stopping; there is no verdict"))
    }
    let weights = world.run + "/step-00000001/model.safetensors"
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: weights)))
    bytes[bytes.count - 1] ^= 1
    try Data(bytes).write(to: URL(fileURLWithPath: weights))
    for line in ["--verify \(world.run)", "verify \(world.run)"] {
      let outcome = try runProgram("lm-eval", Self.words(line))
      #expect(outcome.status == 1 && outcome.output.contains("1 of"), "\(outcome)")
    }
  }

  @Test func badCombinationsAreRefusedInOneSentence() throws {
    for (line, sentence) in [
      ("", "give the model with --checkpoint RUN"),
      ("perplexity --data d", "give the model with --checkpoint RUN"),
      ("perplexity --checkpoint a", "give the text with either --data DIR or --text FILE"),
      ("perplexity --checkpoint a --data d --text t", "give the text with either"),
      ("perplexity --checkpoint a --data d --context stream", "belong together"),
      ("perplexity --checkpoint a --text t --context stream --length 9", "needs --data DIR"),
      ("perplexity --checkpoint a --text t --json --paper-line", "not both"),
      ("perplexity --checkpoint a --text t --hash-seeds -1", "--hash-seeds is -1"),
      ("perplexity --chekpoint a --data d", "Did you mean '--checkpoint'?"),
      ("perplexity --checkpoint a --text t --per-token", "lm-eval score has it"),
      ("perplexity --checkpoint a --text t --score f", "lm-eval score is a subcommand"),
      ("perplexity --audit --checkpoint a", "lm-eval audit is a subcommand"),
      ("compare a --text t", "compare takes two runs, not 1"),
      ("compare a b c --text t", "compare takes two runs, not 3"),
      ("compare --text t a b", "compare takes two runs, not 0: put both first"),
      ("compare a b", "give the text with either --data DIR or --text FILE"),
      ("compare a b --data d --paper-line", "lm-eval perplexity has it"),
      ("compare a b --data d --context stream --length 9", "lm-eval perplexity has it"),
      ("score --text t", "--checkpoint"),
      ("score --checkpoint a b --text t", "'b'"),
      ("score --checkpoint a --text t --json", "the scores fill standard output"),
      ("score --checkpoint a --text t --output /dev/stdout --json", "fill standard output"),
      ("score --checkpoint a --text t --per-token --format kenlm", "KenLM's lines have none"),
      ("score --checkpoint a --text t --format xml", "xml"),
      ("audit --data d", "--checkpoint"),
      ("audit --checkpoint a --data d --split x y", "audit takes one split, not 2"),
      ("audit --checkpoint a --sentences 0", "--sentences is 0"),
      ("audit --checkpoint a --record", "lm-eval perplexity has it"),
      ("audit --checkpoint a --threads 0", "--threads is 0"),
      ("verify", "<run>"), ("verify a --data d", "Unknown option '--data' of lm-eval verify"),
      ("report a b --data d", "'--data'"), ("report --output f", "<run>"),
      ("compair a b", "Unknown subcommand 'compair'. Did you mean 'compare'?"),
      ("nonsense", "Unknown subcommand 'nonsense'"),
    ] {
      let outcome = try runProgram("lm-eval", Self.words(line))
      #expect(outcome.status == 2 && outcome.output.isEmpty, "\(line): \(outcome)")
      let lines = outcome.errors.split(separator: "\n")
      #expect(lines.first?.hasPrefix("Error: ") == true, "\(line): \(outcome.errors)")
      #expect(lines.first?.contains(sentence) == true, "\(line): \(outcome.errors)")
      #expect(lines.count { $0.contains("rror:") } == 1, "\(line): \(outcome.errors)")
      #expect(outcome.errors.contains("Usage: lm-eval"), "\(line): \(outcome.errors)")
      #expect(outcome.errors.contains("--help' for more information"), "\(line)")
    }
  }

  @Test func helpShowsTheOptionsOfTheSubcommandAlone() throws {
    func help(_ arguments: String) throws -> String {
      let outcome = try runProgram("lm-eval", Self.words(arguments))
      #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(arguments): \(outcome.errors)")
      return outcome.output
    }
    let text = ["--data", "--split", "--text", "--line-ends"]
    let figures = ["--vocabulary", "--hash-seeds", "--json", "--record"]
    let work = ["--threads", "--batch-tokens", "--device", "--precision", "--list-devices"]
    let all = try help("--help")
    for (name, options) in [
      (
        "perplexity",
        text + figures + work + [
          "--checkpoint", "--context", "--length", "--stride", "--per-file", "--by-frequency",
          "--by-position", "--paper-line", "--mix", "--mix-weight", "--mix-tune",
        ]
      ),
      ("compare", text + figures + work),
      (
        "score",
        text + figures + work + [
          "--checkpoint", "--output", "--format", "--per-token", "--per-word",
        ]
      ),
      ("audit", text + work + ["--checkpoint", "--sentences", "--json"]),
      ("verify", []), ("report", ["--output"]),
    ] {
      let shown = try help("\(name) --help")
      let found = shown.split(separator: "\n").compactMap { line -> String? in
        guard line.hasPrefix("  -") else { return nil }
        return line.split(separator: " ").first { $0.hasPrefix("--") }
          .map { String($0.prefix { $0 != "," }) }
      }
      #expect(Set(found) == Set(options + ["--help", "--version"]), "\(name)")
      #expect(shown.contains("EXAMPLES\n\n  lm-eval \(name) "), "\(name)")
      #expect(shown.contains("USAGE: lm-eval \(name) "), "\(name)")
      for line in shown.split(separator: "\n")
      where !line.hasPrefix("USAGE") && !line.contains("<run>") {
        #expect(line.count <= 80, "\(line)")
      }
      #expect(all.contains("\n  \(name)"))
      #expect(try help("help \(name)") == shown)
      // Flags ask for the same.
      let flag =
        name == "perplexity" ? "--checkpoint x" : name == "score" ? "--score x" : "--\(name)"
      #expect(try help("\(flag) --help") == shown)
      #expect(try help("-h") == all)
    }
  }
}
