import ArgumentParser
import Backends
import CommandSupport
import Eval
import Export
import Storage
import Tensor
import Tokenize
import Train

/// `lm-eval export`: a model in the form of another program.
struct ExportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Write a model for other programs: 16-bit weights for transformers, or GGUF.",
    discussion: """
      A checkpoint opens in transformers as it is, in float32:
      AutoModelForCausalLM.from_pretrained(STEP, trust_remote_code=True). export
      writes it without what only training needs:

      bf16   a folder with weights in bfloat16
      fp16   a folder with weights in float16, which must be below 65520
      gguf   one file for llama.cpp in float32, which llama-quantize makes
             smaller; of softmax attention with rotary positions only

      Weights are rounded to the nearest number, ties to even. Folders open here,
      too: lm-eval perplexity --checkpoint FOLDER --text FILE.

      EXAMPLES

        lm-eval export bf16 --checkpoint checkpoints/first --output first-bf16
        lm-eval export gguf --checkpoint checkpoints/first --output first.gguf
      """)

  @Argument(help: "bf16, fp16 or gguf.")
  var format: ExportFormat

  @Option(help: Help.run, completion: .directory)
  var checkpoint: String

  @Option(
    name: [.short, .long],
    help: ArgumentHelp("New folder, or file for gguf.", valueName: "path"))
  var output: String

  func run() throws { try Self.write(format, checkpoint: checkpoint, output: output) }

  /// Writes a model.
  static func write(_ format: ExportFormat, checkpoint: String, output: String) throws {
    var trained = try TrainedModel(
      checkpoint, on: Backend.ofThisProcessor, verifyingWeights: true,
      rebuiltTokenizer: HuggingFaceTokenizer.rebuilt, note: LMEval.note)
    let tokenizer = try LMEval.tokenizer(of: &trained)
    guard let type = format.weights else {
      if Files.isDirectory(output) { throw StorageError.notAFile(path: output) }
      try OutputFile.check(output, option: "--output", inputs: [])
      let model = try GGUFModel(
        trained.model, tokenizer: tokenizer, name: Files.name(of: checkpoint))
      try model.write(to: output)
      print("\(output): open it with llama.cpp")
      return
    }
    let isFree =
      try !Files.exists(output) || (Files.isDirectory(output) && Files.entries(of: output).isEmpty)
    guard isFree else {
      throw ValidationError("--output \(output) is there already; give a new folder")
    }
    try TransformersFolder.write(
      trained.model, tokenizer: tokenizer, weights: type, from: trained.path, to: output)
    print(
      "\(output): open it with AutoModelForCausalLM.from_pretrained(\"\(output)\", trust_remote_code=True)"
    )
  }
}

extension ExportFormat: ExpressibleByArgument {}
