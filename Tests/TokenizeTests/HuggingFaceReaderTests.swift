import Foundation
import Storage
import TestSupport
import Testing

import Tokenize

/// A folder that went through `transformers` has lost its `tokenizer.model`.
@Suite struct HuggingFaceReaderTests {
  private static func write(
    _ files: [String: [UInt8]], to folder: String, _ change: (String) -> String = { $0 }
  ) throws {
    for (name, bytes) in files {
      let text = change(String(decoding: bytes, as: UTF8.self))
      try AtomicFile.write(Array(text.utf8), to: folder + "/" + name)
    }
  }

  @Test(arguments: ModelType.allCases)
  func rebuiltModelsHaveTheSameIDs(_ type: ModelType) throws {
    let plain = try Samples.model(type)
    let unknown = WireFormat.piece("▁<UNK>", score: 0, type: 4)
    let pad = WireFormat.piece("<pad>", score: 0, type: 3)
    for extra in [[], unknown + pad] {
      let model = try SentencePieceModel(serialized: plain.serialized + extra)
      try withTemporaryDirectory { folder in
        try Self.write(HuggingFaceTokenizer.files(of: model), to: folder)
        let bytes = try HuggingFaceTokenizer.rebuilt(folder: folder)
        let rebuilt = try SentencePieceModel(serialized: bytes)
        #expect(rebuilt.special == model.special)
        #expect(rebuilt.unknownWordID == model.unknownWordID)
        for id in 0..<Int32(model.vocabularySize) { #expect(rebuilt.piece(id) == model.piece(id)) }
        let lines = Samples.lines(100, seed: 4) + Samples.awkward
        for line in lines + ["a <UNK> b", "<UNK>", " <UNK>,<UNK>", "<pad>"] {
          #expect(
            try rebuilt.encode(Array(line.utf8)) == model.encode(Array(line.utf8)), "\(line)")
        }
      }
    }
  }

  /// `tokenizers` reads and writes scores with an error in the last digit, and puts settings of a call
  /// beside them.
  @Test func filesWrittenAgainAreRead() throws {
    let model = try Samples.model(.unigram)
    try withTemporaryDirectory { folder in
      try Self.write(HuggingFaceTokenizer.files(of: model), to: folder) {
        $0.replacing(
          "\"truncation\": null", with: "\"truncation\": {\"max_length\": 8}"
        ).replacing(try! Regex("(-[0-9]+\\.[0-9]{10,})]"), with: { "\($0.output[1].substring!)1]" })
      }
      let rebuilt = try SentencePieceModel(
        serialized: HuggingFaceTokenizer.rebuilt(folder: folder))
      for id in 0..<Int32(model.vocabularySize) { #expect(rebuilt.score(id) == model.score(id)) }
    }
  }

  @Test(arguments: ModelType.allCases)
  func otherFilesAreRefused(_ type: ModelType) throws {
    let files = HuggingFaceTokenizer.files(of: try Samples.model(type))
    for (old, new) in [
      ("\"Prepend\"", "\"Lowercase\""), ("\"prepend\": \"▁\"", "\"prepend\": \"_\""),
      ("\"special\": true", "\"special\": false"),
      ("\"byte_fallback\": true", "\"byte_fallback\": false"),
      ("\"type_id\": 0", "\"type_id\": 1"), ("{", "["),
    ] {
      try withTemporaryDirectory { folder in
        try Self.write(files, to: folder) { $0.replacing(old, with: new) }
        let error = #expect(throws: TokenizerError.self, "\(new)") {
          try HuggingFaceTokenizer.rebuilt(folder: folder)
        }
        #expect(error?.description.contains("copy the tokenizer.model") == true)
      }
    }
    _ = try withTemporaryDirectory { folder in
      #expect(throws: TokenizerError.self) { try HuggingFaceTokenizer.rebuilt(folder: folder) }
    }
  }
}
