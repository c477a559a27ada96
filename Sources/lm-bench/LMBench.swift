import ArgumentParser
import CommandSupport

/// Measures this machine and this program on it.
@main
struct LMBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lm-bench",
    abstract: "Measure the speed of training and scoring on this machine.",
    subcommands: [
      TokenizeCommand.self, ProductCommand.self, AttentionCommand.self, TrainCommand.self,
      TwinCommand.self,
    ])

  static func main() { runCommand() }
}
