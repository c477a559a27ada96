import CommandSupport
import LMData
import Storage
import Tokenize

/// `lm-tokenize --verify`: reads every byte of a data set and compares sums, frames and counts.
enum VerifyCommand {
  static func run(_ directory: String) throws {
    let dataSet = try DataSet(directory: directory)
    guard Files.exists(directory + "/" + SumsFile.name) else {
      throw CommandError(
        "\(directory) has no \(SumsFile.name), so nothing vouches for its \(Manifest.fileName); "
          + "it was made by an older lm-tokenize, make it again or run sha256sum yourself")
    }
    let tokenizer = try SentencePieceModel(path: dataSet.tokenizerPath)
    guard tokenizer.special == dataSet.special,
      tokenizer.vocabularySize == dataSet.manifest.tokenizer.vocabularySize
    else {
      throw CommandError(
        "\(directory)/\(Manifest.fileName) does not describe \(dataSet.tokenizerPath); "
          + "run lm-tokenize again")
    }
    let total = dataSet.manifest.splits.values.joined().reduce(0) { $0 + $1.compressedBytes }
    let progress = Progress("verifying \(directory)", total: Double(total)) {
      "\(Format.bytes(Int($0)))/s"
    }
    try dataSet.verify { progress.advance(Double($0)) }
    progress.finish()
    print(LMTokenize.summary(of: dataSet.manifest, folder: directory))
    print("all sums, frames and counts hold")
  }
}
