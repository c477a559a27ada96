import Foundation

/// What libsentencepiece says when it fails.
enum LibraryMessage {
  /// The text of a message that the library has allocated, which is freed here.
  static func copyAndFree(_ message: UnsafeMutablePointer<CChar>?) -> String? {
    guard let message else { return nil }
    defer { free(message) }
    return String(cString: message)
  }

  /// A message without the files, conditions and options of the library's own, which mean nothing to
  /// whoever reads it.
  static func plain(_ message: String) -> String {
    // "./src/name.cc(12) [condition] what it says"
    let text = message.replacingOccurrences(
      of: #"^.*\.(cc|h)\(\d+\)\s*(\[.*?\](?=\s|$))?"#, with: "", options: .regularExpression
    ).trimmingCharacters(in: .whitespacesAndNewlines)
    guard !text.isEmpty, !text.contains("--"), !text.contains(".cc"), text.count <= 200 else {
      return "libsentencepiece gives no reason"
    }
    return text
  }
}
