/// The shape at a point of a line, which tells lines apart where colours do not.
package enum Marker: String, Sendable, CaseIterable {
  case circle, square, triangle, diamond, cross, down

  /// The outline around the origin, about 7 units across.
  private var outline: String {
    switch self {
    case .circle: "M-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z"
    case .square: "M-2.8-2.8h5.6v5.6h-5.6z"
    case .triangle: "M0-3.9l3.6 6.4h-7.2z"
    case .diamond: "M0-4.2l3.4 4.2l-3.4 4.2l-3.4-4.2z"
    case .cross:
      "M-3.9-2.5l1.4-1.4l2.5 2.5l2.5-2.5l1.4 1.4l-2.5 2.5l2.5 2.5l-1.4 1.4l-2.5-2.5l-2.5 2.5l-1.4-1.4l2.5-2.5z"
    case .down: "M0 3.9l3.6-6.4h-7.2z"
    }
  }

  /// A mark at a place of a drawing.
  ///
  /// - Parameters:
  ///   - x: As the drawing spells it.
  ///   - y: The same.
  ///   - colour: Its class.
  ///   - title: What is shown of it on demand; not escaped yet.
  func svg(x: String, y: String, colour: String, title: String? = nil) -> String {
    let told = title.map { "<title>\(HTML.escaped($0))</title>" } ?? ""
    return
      "<path class=\"mark \(colour)\" d=\"\(outline)\" transform=\"translate(\(x) \(y))\">\(told)</path>"
  }
}
