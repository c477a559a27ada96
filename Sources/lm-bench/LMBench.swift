import ArgumentParser
import Backends
import CommandSupport
import LMData
import Provenance
import Roofline

/// Measures this machine and this program on it.
@main
struct LMBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lm-bench",
    abstract: "Measure the speed of training and scoring on this machine.",
    discussion: """
      Every stage is printed beside the machine's own limit, measured in the same
      process: matrix products (OpenBLAS's or ours, whichever is faster), reading
      memory, writing to the disk.
      scripts/peers/bench-against-peers.sh runs them in turn with what else a user
      could take.

      EXAMPLES

        lm-bench train
        lm-bench train --attention softmax hierarchical --length 1024 --batch 2
        lm-bench attention --lengths 1024 8192
        lm-bench tokenize --model data/tokenizer.model --text news.txt
      """ + ExitStatus.help, version: Program.version,
    subcommands: [
      ProductCommand.self, AttentionCommand.self, TrainCommand.self, ForwardCommand.self,
      SentencesCommand.self, TokenizeCommand.self, PipelineCommand.self, DecodeCommand.self,
      StartCommand.self, MemoryCommand.self, ExchangeCommand.self, CheckCommand.self,
      DeviceCommand.self, ThreadsCommand.self,
      TwinCommand.self,
    ])

  static func main() {
    runCommand(with: {
      [("zstd", Zstd.version), ("ruler", OpenBLAS.configuration), ("devices", Backend.listing)]
    })
  }
}
