import ArgumentParser
import CommandSupport
import Train

/// `lm-eval verify`: reads every file of a run, or of one checkpoint, and compares all sums.
struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Compare all checksums of a run or of one checkpoint.",
    discussion: """
      Reads every checkpoint, configuration and log, and names each with what was
      found; the exit code is 1 if anything is damaged.

      EXAMPLES

        lm-eval verify checkpoints/first
        lm-eval verify checkpoints/first/step-00001000
      """)

  @Argument(
    help: ArgumentHelp("Run folder, or one checkpoint of it.", valueName: "run"),
    completion: .directory)
  var path: String

  func run() throws { try Self.verify(path) }

  static func verify(_ path: String) throws {
    let verification = try RunVerification(path)
    let progress = Progress("verifying \(path)", total: Double(verification.bytes)) {
      "\(Format.bytes(Int($0)))/s"
    }
    let findings = verification.run { progress.advance(Double($0)) }
    progress.finish()
    for finding in findings {
      let verdict =
        finding.isGood
        ? Terminal.styled("good   ", .green, on: .output)
        : Terminal.styled("DAMAGED", .red, on: .output)
      print("\(verdict) \(finding.path): \(finding.note)")
    }
    let damaged = findings.count { !$0.isGood }
    if damaged > 0 {
      print("\(damaged) of \(findings.count) are damaged")
      throw ExitCode(1)
    }
    print("all sums hold")
  }
}
