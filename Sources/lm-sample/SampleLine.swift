import Eval
import Foundation
import LMData
import Storage

/// A sample as one line of JSON.
struct SampleLine {
  /// The prompt as it was encoded.
  let prompt: [Int32]
  /// Its number, from 1.
  let number: Int
  let sample: Continuation
  /// What follows the prompt, up to a text to stop at.
  let text: [UInt8]
  let tokens: TokenTable

  /// The object, with a newline.
  var json: String {
    let start = String(decoding: tokens.decode(prompt), as: UTF8.self)
    let continuation = String(decoding: text, as: UTF8.self)
    var fields = [
      "\"prompt\":\(JSONText.quoted(start))", "\"sample\":\(number)",
      "\"continuation\":\(JSONText.quoted(continuation))", "\"end\":\"\(end)\"",
    ]
    if !sample.logProbabilities.isEmpty {
      var spelled = sample.ids.map { tokens.spelling($0) }
      if sample.logProbabilities.count > spelled.count { spelled.append("</s>") }
      fields.append("\"tokens\":[\(spelled.map(JSONText.quoted).joined(separator: ","))]")
      let numbers = sample.logProbabilities.map { "\($0 + 0)" }
      fields.append("\"logprobs\":[\(numbers.joined(separator: ","))]")
    }
    return "{\(fields.joined(separator: ","))}\n"
  }

  private var end: String {
    switch sample.end {
    case .sentence: "sentence"
    case .length: "length"
    case .stop: "stop"
    }
  }
}
