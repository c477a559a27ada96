import Foundation

/// Numbers of valid JSON that cannot be what stands there.
///
/// Of 1.5 where a whole number was expected, or of 1e300, Foundation says that the data is not valid JSON, and
/// not where.
extension JSONFile {
  /// The place of such a number, with what was expected there; nil if something else is wrong.
  ///
  /// - Parameters:
  ///   - type: What was to be read.
  ///   - json: Its JSON.
  ///   - error: How that went wrong.
  static func numberProblem<Value: Decodable>(
    _ type: Value.Type, _ json: some Sequence<UInt8>, _ error: any Error
  ) -> String? {
    guard isUnplaced(error),
      var tree = try? JSONSerialization.jsonObject(with: Foundation.Data(json))
    else { return nil }
    func isRead(_ tree: Any) -> Bool {
      guard let data = try? JSONSerialization.data(withJSONObject: tree) else { return false }
      do {
        _ = try EarlierKeys.decoder().decode(type, from: data)
        return true
      } catch {
        return !isUnplaced(error)
      }
    }
    // 1 takes the place of one after the other: the last that is wrong makes the difference.
    for (place, number) in suspects(tree, []) {
      let corrected = replacing(tree, place[...], by: 1)
      if isRead(corrected) {
        let isWhole = !isRead(replacing(tree, place[...], by: 0.5))
        let size = number < 0 ? "" : number == number.rounded() ? "smaller " : ""
        return
          "at \(spelled(place)): found \(number), expected a \(size)\(isWhole ? "whole " : "")number"
          + (number < 0 ? " of 0 or more" : "")
      }
      tree = corrected
    }
    return nil
  }

  private static func isUnplaced(_ error: any Error) -> Bool {
    guard case DecodingError.dataCorrupted(let context) = error else { return false }
    return context.codingPath.isEmpty
  }

  /// A step from a value of JSON to one in it.
  private enum Step {
    case key(String)
    case index(Int)
  }

  private static func spelled(_ place: [Step]) -> String {
    place.map {
      switch $0 {
      case .key(let name): name
      case .index(let index): "[\(index)]"
      }
    }.joined(separator: ".")
  }

  /// Numbers that not every kind of number takes.
  private static func suspects(_ tree: Any, _ place: [Step]) -> [(place: [Step], number: Double)] {
    switch tree {
    case let object as [String: Any]:
      object.sorted { $0.key < $1.key }.flatMap { suspects($0.value, place + [.key($0.key)]) }
    case let list as [Any]:
      list.enumerated().flatMap { suspects($0.element, place + [.index($0.offset)]) }
    case let number as NSNumber:
      isAnyKind(number.doubleValue) ? [] : [(place, number.doubleValue)]
    default: []
    }
  }

  private static func isAnyKind(_ number: Double) -> Bool {
    number == number.rounded() && (0...Double(Int32.max)).contains(number)
  }

  private static func replacing(_ tree: Any, _ place: ArraySlice<Step>, by number: Double) -> Any {
    guard let step = place.first else { return number }
    switch (step, tree) {
    case (.key(let name), var object as [String: Any]):
      if let value = object[name] { object[name] = replacing(value, place.dropFirst(), by: number) }
      return object
    case (.index(let index), var list as [Any]):
      list[index] = replacing(list[index], place.dropFirst(), by: number)
      return list
    default: return tree
    }
  }
}
