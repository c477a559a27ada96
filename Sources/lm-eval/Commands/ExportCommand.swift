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
      too: lm-eval perplexity --checkpoint FOLDER --text FILE. What is there
      already stays as it is: --overwrite replaces an earlier export, and nothing
      else.

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

  @Flag(help: "Replace what export has written to --output before, once the new one is complete.")
  var overwrite = false

  func run() throws {
    try Self.write(format, checkpoint: checkpoint, output: output, overwrite: overwrite)
  }

  /// Writes a model.
  static func write(
    _ format: ExportFormat, checkpoint: String, output: String, overwrite: Bool = false
  ) throws {
    let place = ExportPlace(output, checkpoint: checkpoint, overwrite: overwrite)
    if format.weights == nil {
      try OutputFile.check(output, option: "--output", inputs: [])
      try place.checkFile()
    } else {
      try place.checkFolder()
    }
    var trained = try TrainedModel(
      checkpoint, on: Backend.ofThisProcessor, verifyingWeights: true,
      rebuiltTokenizer: HuggingFaceTokenizer.rebuilt, note: LMEval.note)
    let tokenizer = try LMEval.tokenizer(of: &trained)
    guard let type = format.weights else {
      let model = try GGUFModel(
        trained.model, tokenizer: tokenizer, name: Files.name(of: checkpoint))
      try model.write(to: output)
      print("\(output): open it with llama.cpp")
      return
    }
    try TransformersFolder.write(
      trained.model, tokenizer: tokenizer, weights: type, from: trained.path, to: place)
    print(
      "\(output): open it with AutoModelForCausalLM.from_pretrained(\"\(output)\", trust_remote_code=True)"
    )
  }
}

extension ExportFormat: ExpressibleByArgument {}
