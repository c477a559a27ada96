import ArgumentParser
import CommandSupport

/// Measures this machine and this program on it.
@main
struct LMBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lm-bench",
    abstract: "Measure the speed of training and scoring on this machine.",
    discussion: """
      EXAMPLES

        lm-bench train
        lm-bench train --attention softmax hierarchical --length 1024 --batch 2
        lm-bench attention --lengths 1024 8192
        lm-bench tokenize --model data/tokenizer.model --text news.txt
      """,
    subcommands: [
      TokenizeCommand.self, ProductCommand.self, AttentionCommand.self, TrainCommand.self,
      TwinCommand.self,
    ])

  static func main() { runCommand() }
}
