import Foundation
import Provenance
import Storage
import TestSupport
import Testing

/// What has computed a figure can be told from the figure.
@Suite(.serialized) struct ProvenanceTests {
  @Test func everyProgramSaysWhatItIs() throws {
    for name in ["lm-tokenize", "lm-train", "lm-eval", "lm-sample", "lm-bench"] {
      let outcome = try runProgram(name, ["--version"])
      #expect(outcome.status == 0 && outcome.errors.isEmpty, "\(outcome.errors)")
      let lines = outcome.output.split(separator: "\n")
      #expect(lines.first == "\(name) \(Program.version)")
      #expect(lines.contains { $0.hasPrefix("commit") && $0.hasSuffix(Program.commit) })
      #expect(lines.contains { $0.hasPrefix("vectors") })
      #expect(lines.contains { $0.hasPrefix("libc") && $0.contains("glibc 2.") })
      #expect(lines.contains { $0.hasPrefix("zstd") } == (name != "lm-sample"))
      if name != "lm-tokenize" { #expect(outcome.output.contains("cpu      this processor")) }
      #expect(try runProgram(name, ["--help"]).output.contains("--version"))
    }
  }

  /// The commit is looked up before every build, and a change since then is said.
  @Test func theCommitIsThatOfTheWorkTree() throws {
    let folder = try TemporaryFolder()
    let script = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appending(path: "../../scripts/parts/commit.sh").standardized.path
    let outcome = try runProgram(
      "", [],
      shell: """
        set -e
        cd \(folder.path)
        export GIT_CONFIG_GLOBAL=/dev/null HOME=$PWD
        look() { \(script) $PWD/tree $PWD/out; cat out/Commit.swift; }
        mkdir -p out tree/Sources
        look
        cd tree
        git init -q .
        touch Sources/a Package.swift
        git add .
        git -c user.name=a -c user.email=a@b.c commit -q -m one
        cd ..
        look
        touch -d '1 hour ago' out/Commit.swift
        look
        test -z "$(find out -type f -mmin -30)"
        touch tree/notes
        look
        touch tree/Sources/b
        look
        git -C tree rev-parse HEAD
        """)
    #expect(outcome.status == 0, "\(outcome.errors)")
    let lines = outcome.output.split(separator: "\n").map(String.init)
    try #require(lines.count == 6, "\(outcome.output)")
    let commit = lines[5]
    #expect(lines[0] == "let builtCommit = \"unknown\"")
    for line in lines[1...3] { #expect(line == "let builtCommit = \"\(commit)\"") }
    #expect(lines[4] == "let builtCommit = \"\(commit)+changes\"")
  }

  @Test func argumentsAreAsAShellTakesThem() {
    let provenance = Provenance.now(
      arguments: ["/usr/bin/lm-eval", "--text", "a b", "it's", "", "x=1,2", "$HOME"])
    #expect(provenance.command == #"lm-eval --text 'a b' 'it'\''s' '' x=1,2 '$HOME'"#)
    #expect(provenance.program == "lm-eval \(Program.version)")
  }

  /// A run that was taken up tells both starts; its record, page and paper line tell the program.
  @Test func aRunTellsItsStarts() throws {
    let folder = try TemporaryFolder()
    let words = ["ash", "oak", "elm", "fir", "yew", "a tree", "the wood"]
    let text = (0..<200).map { "\(words[$0 % 7]) is near \(words[$0 * 3 % 7]) ." }
    let path = try folder.write(text.joined(separator: "\n") + "\n", to: "text")
    let (data, run) = (folder.path + "/data", folder.path + "/run")
    let made = try runProgram(
      "lm-tokenize",
      ["--train", path, "--split-valid", "0.1", "--vocab-size", "278", "--output", data])
    #expect(made.status == 0, "\(made.errors)")
    let train = [
      "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
      "--hidden", "24", "--batch-tokens", "100", "--threads", "2",
    ]
    for options in [["--steps", "2"], ["--steps", "4", "--resume"]] {
      let outcome = try runProgram(
        "lm-train", train + options + ["--schedule", "inverseSquareRoot"])
      #expect(outcome.status == 0, "\(outcome.errors)")
    }
    let starts = try String(contentsOfFile: run + "/starts.jsonl", encoding: .utf8)
      .split(separator: "\n")
    try #require(starts.count == 2)
    #expect(starts[0].contains(#""step":0"#) && starts[1].contains(#""step":2"#))
    #expect(starts[1].contains("--resume") && starts[1].contains(Program.commit))
    let scored = try runProgram(
      "lm-eval",
      ["perplexity", "--checkpoint", run, "--text", path, "--record", "--paper-line"])
    #expect(scored.status == 0, "\(scored.errors)")
    #expect(scored.output.contains("; computed by lm-eval \(Program.version) ("))
    #expect(scored.output.contains(") on \(ThisMachine.name) at 20"))
    #expect(scored.output.contains("Z: lm-eval perplexity --checkpoint \(run) --text"))
    let record = try String(contentsOfFile: run + "/evaluations.jsonl", encoding: .utf8)
    #expect(record.contains(Program.commit) && record.contains("--paper-line"))
    let page = folder.path + "/page.html"
    let report = try runProgram("lm-eval", ["report", run, "--output", page])
    #expect(report.status == 0, "\(report.errors)")
    let html = try String(contentsOfFile: page, encoding: .utf8)
    #expect(html.contains("<title>run: ") && html.contains("--resume"))
    // A changed line is found and the rest of the run goes on.
    let damaged = starts[0].replacing(#""threads":2"#, with: #""threads":3"#) + "\n"
    try damaged.write(toFile: run + "/starts.jsonl", atomically: true, encoding: .utf8)
    let verified = try runProgram("lm-eval", ["verify", run])
    #expect(verified.status == 1 && verified.output.contains("starts.jsonl"))
  }
}
