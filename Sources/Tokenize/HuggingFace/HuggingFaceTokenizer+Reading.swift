import Foundation
import LMData
import Storage

/// The way back: folders that went through `transformers` have lost their `tokenizer.model`.
extension HuggingFaceTokenizer {
  /// A SentencePiece model with the ids of a folder's `tokenizer.json`, if that is one of ours, as it
  /// was written or as `transformers` has written it again.
  ///
  /// It is not the model that the file was made from: trainers' notes are lost, and scores of a merge
  /// model become ranks.
  package static func rebuilt(folder: String) throws -> [UInt8] {
    let path = folder + "/" + tokenizerName
    func fail(_ problem: String) -> TokenizerError {
      .options(
        "\(folder) has no tokenizer.model, and \(problem); copy the tokenizer.model of the checkpoint "
          + "that this model came from into it")
    }
    guard Files.exists(path) else { throw fail("no \(tokenizerName) either") }
    let json = try Files.contents(of: path)
    guard let model = rebuilt(from: json, end: endName(folder)) else {
      if object(json).map(isByteLevel) == true {
        throw TokenizerError.options(
          "\(path) is a byte-level BPE, expected a SentencePiece tokenizer.model beside it: such text is "
            + "spelled by no program here; score the model with lm-evaluation-harness, or give it the tokens of "
            + "a tokenizer.model with resize_token_embeddings of transformers and train it on")
      }
      throw fail("its \(tokenizerName) is not of the form that lm-train writes")
    }
    return model
  }

  /// The model of a `tokenizer.json`, or nothing if that is not of our form.
  ///
  /// - Parameters:
  ///   - json: The file.
  ///   - end: The name of the piece that closes a text, which stands in another file.
  package static func rebuilt(from json: [UInt8], end: String) -> [UInt8]? {
    guard let found = object(json), let stored = StoredTokenizer(found, end: end) else {
      return nil
    }
    let bytes = stored.serialized
    // Whatever says more or something else than ours gives other ids.
    guard let model = try? SentencePieceModel(serialized: bytes, loadsLibrary: false),
      obstacle(model) == nil, let ours = files(of: model)[tokenizerName].flatMap(object),
      let theirs = StoredTokenizer.withoutSettings(found), isSame(ours, theirs)
    else { return nil }
    return bytes
  }

  /// Whether text is cut and spelled as in GPT-2: a step named so, alone or in a list of steps.
  private static func isByteLevel(_ object: [String: Any]) -> Bool {
    ["pre_tokenizer", "decoder"].contains { key in
      guard let step = object[key] as? [String: Any] else { return false }
      let parts =
        [step] + ["pretokenizers", "decoders"].flatMap { step[$0] as? [[String: Any]] ?? [] }
      return parts.contains { $0["type"] as? String == "ByteLevel" }
    }
  }

  private static func object(_ bytes: [UInt8]) -> [String: Any]? {
    (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
  }

  /// The name of the piece that closes a text.
  private static func endName(_ folder: String) -> String {
    let config = (try? Files.contents(of: folder + "/" + configName)).flatMap(object)
    let token = config?["eos_token"]
    return token as? String ?? (token as? [String: Any])?["content"] as? String ?? "</s>"
  }

  /// Whether two documents say the same; numbers as `Float`, for `tokenizers` reads scores with an error
  /// in the last digit of a `Double`.
  private static func isSame(_ ours: Any, _ theirs: Any) -> Bool {
    switch (ours, theirs) {
    case (let ours as [String: Any], let theirs as [String: Any]):
      return ours.count == theirs.count
        && ours.allSatisfy { key, value in theirs[key].map { isSame(value, $0) } ?? false }
    case (let ours as [Any], let theirs as [Any]):
      return ours.count == theirs.count && zip(ours, theirs).allSatisfy { isSame($0, $1) }
    case (let ours as String, let theirs as String): return ours.utf8.elementsEqual(theirs.utf8)
    case (let ours as NSNumber, let theirs as NSNumber):
      return Float(ours.doubleValue) == Float(theirs.doubleValue)
    default: return ours is NSNull && theirs is NSNull
    }
  }
}

/// What a `tokenizer.json` says of its pieces.
private struct StoredTokenizer {
  private var pieces: [ModelPiece] = []
  private var type = 1
  private var unknown = 0
  private var begin = ""
  private let end: String

  /// Reads the pieces, or nothing where they are not as in a file of ours.
  init?(_ object: [String: Any], end: String) {
    self.end = end
    guard let model = object["model"] as? [String: Any],
      let added = object["added_tokens"] as? [[String: Any]],
      let processor = object["post_processor"] as? [String: Any],
      let markers = processor["special_tokens"] as? [String: Any], markers.count == 1,
      let first = markers.keys.first
    else { return nil }
    begin = first
    let isRead =
      model["type"] as? String == "Unigram" ? readUnigram(model) : readMerges(model)
    guard isRead, pieces.indices.contains(unknown) else { return nil }
    for index in pieces.indices where Self.isByte(pieces[index].bytes) {
      pieces[index].kind = .byte
    }
    for token in added {
      guard let id = token["id"] as? Int, let name = token["content"] as? String,
        let isSpecial = token["special"] as? Bool
      else { return nil }
      // A piece that somebody added behind ours.
      guard pieces.indices.contains(id) else { continue }
      if isSpecial {
        pieces[id].kind = id == unknown ? .unknown : .control
      } else {
        pieces[id].kind = .userSymbol
        pieces[id].bytes = Array(("▁" + name.replacing(" ", with: "▁")).utf8)
      }
    }
  }

  private mutating func readUnigram(_ model: [String: Any]) -> Bool {
    guard let entries = model["vocab"] as? [[Any]], let unknown = model["unk_id"] as? Int else {
      return false
    }
    self.unknown = unknown
    for entry in entries {
      guard entry.count == 2, let name = entry[0] as? String, let score = entry[1] as? Double else {
        return false
      }
      pieces.append(ModelPiece(bytes: Array(name.utf8), score: Float(score)))
    }
    return true
  }

  private mutating func readMerges(_ model: [String: Any]) -> Bool {
    guard let vocabulary = model["vocab"] as? [String: Int],
      let merges = model["merges"] as? [[String]], let name = model["unk_token"] as? String,
      let unknown = vocabulary[name]
    else { return false }
    type = 2
    self.unknown = unknown
    pieces = Array(repeating: ModelPiece(), count: vocabulary.count)
    for (name, id) in vocabulary {
      guard pieces.indices.contains(id), pieces[id].bytes.isEmpty else { return false }
      pieces[id].bytes = Array(name.utf8)
      // Behind everything that is merged.
      pieces[id].score = -Float(merges.count + id)
    }
    var ranked: Set<Int> = []
    for merge in merges {
      guard merge.count == 2, let id = vocabulary[merge[0] + merge[1]] else { return false }
      if ranked.insert(id).inserted { pieces[id].score = -Float(ranked.count - 1) }
    }
    return true
  }

  private static func isByte(_ name: [UInt8]) -> Bool {
    guard name.count == 6, name.starts(with: "<0x".utf8), name.last == UInt8(ascii: ">") else {
      return false
    }
    return name[3...4].allSatisfy { (48...57).contains($0) || (65...70).contains($0) }
  }

  /// The document without pieces that somebody added behind ours, and without what a call of the
  /// tokenizer has set.
  static func withoutSettings(_ object: [String: Any]) -> [String: Any]? {
    guard let model = object["model"] as? [String: Any],
      let added = object["added_tokens"] as? [Any]
    else { return nil }
    let count = (model["vocab"] as? [Any])?.count ?? (model["vocab"] as? [String: Any])?.count ?? 0
    var object = object
    object["added_tokens"] = added.filter {
      (($0 as? [String: Any])?["id"] as? Int).map { $0 < count } ?? true
    }
    for key in ["truncation", "padding"] { object[key] = NSNull() }
    return object
  }

  /// The pieces as a SentencePiece model.
  var serialized: [UInt8] {
    typealias Writer = ProtocolBufferWriter
    var model = Writer()
    for piece in pieces { model.append(piece) }
    var trainer = Writer()
    trainer.append(3, type)
    trainer.append(4, pieces.count)
    trainer.append(35, 1)
    trainer.append(45, pieces[unknown].bytes)
    trainer.append(46, Array(begin.utf8))
    trainer.append(47, Array(end.utf8))
    model.append(2, trainer.bytes)
    model.appendIdentityNormalizer()
    return model.bytes
  }
}
