import ArgumentParser

/// Speed of scoring: the forward pass of `train`, its options and its table.
struct ForwardCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "forward", abstract: "Time scoring: the forward pass alone, as lm-eval runs it.",
    discussion: "The same as train --forward.")

  @OptionGroup var options: TrainCommand

  mutating func run() throws {
    options.forward = true
    try options.run()
  }
}
