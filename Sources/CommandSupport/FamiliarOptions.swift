/// Options of other trainers, and what there is in their place.
enum FamiliarOptions {
  /// By name, the option that does the same, and what is to be known about it.
  private static let options: [String: (here: String, hint: String)] = [
    "--batch-size": (
      "--batch-tokens", "a step is counted in tokens, not in sentences; give --batch-tokens"
    ),
    "--gradient-accumulation-steps": (
      "--micro-batch-tokens",
      "--batch-tokens are computed in parts of --micro-batch-tokens, as many as it takes"
    ),
    "--max-steps": ("--steps", "give --steps"), "--max-iters": ("--steps", "give --steps"),
    "--max-update": ("--steps", "give --steps"),
    "--num-train-epochs": ("--epochs", "give --epochs"),
    "--max-epoch": ("--epochs", "give --epochs"),
    "--warmup-steps": ("--warmup", "give --warmup, in steps"),
    "--warmup-iters": ("--warmup", "give --warmup, in steps"),
    "--max-grad-norm": ("--grad-clip", "give --grad-clip"),
    "--block-size": (
      "--stream-length",
      "every sentence stands alone, of any length, or give --stream-length for windows"
    ),
    "--max-seq-len": (
      "--stream-length",
      "every sentence stands alone, of any length, or give --stream-length for windows"
    ),
    "--eval-interval": ("--validate-every", "give --validate-every"),
    "--save-interval": ("--checkpoint-every", "give --checkpoint-every"),
    "--resume-from": ("--resume", "give the run with --output RUN --resume"),
    "--finetune-from-model": ("--init-from", "give --init-from"),
    "--n-layer": ("--layers", "give --layers"), "--n-head": ("--heads", "give --heads"),
    "--n-embd": ("--width", "give --width"),
    "--early-stopping-patience": ("--patience", "give --patience"),
  ]

  /// What is said about an option that there is not; nil if nothing is known of it.
  ///
  /// - Parameters:
  ///   - name: As it was typed, with hyphens or underscores.
  ///   - known: The options of the command.
  static func hint(_ name: String, known: [String]) -> String? {
    let spelled = "--" + String(name.dropFirst(2).map { $0 == "_" ? "-" : $0 })
    if spelled != name, known.contains(spelled) { return "give \(spelled)" }
    guard let option = options[spelled], known.contains(option.here) else { return nil }
    return option.hint
  }
}
