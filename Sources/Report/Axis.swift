import Foundation

/// One axis of a chart: its range, its ticks and their labels.
package struct Axis: Sendable, Equatable {
  package enum Scale: Sendable, Equatable { case linear, logarithmic }

  /// What is measured, with its unit.
  package let label: String
  package let scale: Scale
  package let low: Double
  package let high: Double
  package let ticks: [Double]

  /// An axis that includes all values.
  ///
  /// - Parameters:
  ///   - label: What is measured, with its unit.
  ///   - scale: Linear or logarithmic.
  ///   - values: What it must include; values that are not finite, or not positive on a logarithmic axis,
  ///     are left out. A single value, or none, gets a range around it.
  ///   - fromZero: Whether a linear axis begins at zero.
  package init(
    _ label: String, _ values: [Double], scale: Scale = .linear, fromZero: Bool = false
  ) {
    self.label = label
    self.scale = scale
    let usable = values.filter { $0.isFinite && (scale == .linear || $0 > 0) }
    let (least, most) = (usable.min() ?? 1, usable.max() ?? 1)
    switch scale {
    case .linear: (low, high, ticks) = Self.linear(fromZero ? min(0, least) : least, most, fromZero)
    case .logarithmic:
      let (bottom, top) = (least / 1.05, most * 1.05)
      var places = Self.logarithmicTicks(bottom, top)
      if places.count < 2 {
        let step = Self.step(for: top - bottom)
        let first = (bottom / step).rounded(.up)
        places = (0...8).map { (first + Double($0)) * step }.filter { $0 <= top && $0 >= bottom }
      }
      (low, high, ticks) = (bottom, top, places)
    }
  }

  /// A range whose ends are ticks.
  private static func linear(
    _ least: Double, _ most: Double, _ fromZero: Bool
  ) -> (low: Double, high: Double, ticks: [Double]) {
    var (low, high) = (least, most)
    if high - low <= 1e-12 * max(abs(high), abs(low)) {
      let room = high == 0 ? 1 : 0.1 * abs(high)
      (low, high) = (fromZero ? low : low - room, high + room)
    }
    let step = step(for: high - low)
    let start = (low / step + 1e-9).rounded(.down) * step
    let end = (high / step - 1e-9).rounded(.up) * step
    let count = Int(((end - start) / step).rounded())
    let ticks = (0...count).map { start + Double($0) * step }
    return (start, end, ticks.map { abs($0) < 1e-9 * step ? 0 : $0 })
  }

  /// Position of a value, from 0 at the low end to 1 at the high end.
  package func position(_ value: Double) -> Double {
    let place =
      switch scale {
      case .linear: (value - low) / (high - low)
      case .logarithmic: (log(value) - log(low)) / (log(high) - log(low))
      }
    // An end is a multiple of the step, with a rounding error.
    return abs(place) < 1e-9 ? 0 : abs(place - 1) < 1e-9 ? 1 : place
  }

  /// The label of a tick, with as many decimals as the ticks need to differ.
  package func spelled(_ tick: Double) -> String {
    if tick == 0 { return "0" }
    let magnitude = ticks.map(abs).max() ?? 0
    if magnitude > 0, magnitude < 1e-3 || magnitude >= 1e7 {
      let text = String(format: "%.3g", tick)
      return text.replacing("e-0", with: "e-").replacing("e+0", with: "e")
    }
    let steps = zip(ticks, ticks.dropFirst()).map { $1 - $0 }
    let step = steps.min() ?? magnitude
    let decimals = step > 0 ? max(0, min(6, Int(-log10(step * 1.001).rounded(.down)))) : 0
    var text = String(format: "%.\(decimals)f", tick)
    if scale == .logarithmic, text.contains(".") {
      while text.hasSuffix("0") { text.removeLast() }
      if text.hasSuffix(".") { text.removeLast() }
    }
    guard magnitude >= 10_000 else { return text }
    return Self.grouped(text)
  }

  private static func grouped(_ text: String) -> String {
    var digits = Array(text.prefix { $0 != "." })
    let fraction = text.dropFirst(digits.count)
    let start = digits.first == "-" ? 1 : 0
    for place in stride(from: digits.count - 3, to: start, by: -3) {
      digits.insert(",", at: place)
    }
    return String(digits) + fraction
  }

  /// 1, 2 or 5 times a power of ten, for four to eight ticks.
  private static func step(for range: Double) -> Double {
    let rough = range / 5
    let power = pow(10, log10(rough).rounded(.down))
    let multiple = rough / power
    return power * (multiple < 1.5 ? 1 : multiple < 3.5 ? 2 : multiple < 7.5 ? 5 : 10)
  }

  /// 1, 2 and 5 of every decade; of many decades only powers of ten.
  private static func logarithmicTicks(_ low: Double, _ high: Double) -> [Double] {
    let decades = log10(high) - log10(low)
    let multiples: [Double] = decades > 3 ? [1] : [1, 2, 5]
    let stride = max(1, Int((decades / 8).rounded(.up)))
    var ticks: [Double] = []
    for exponent in Int(log10(low).rounded(.down))...Int(log10(high).rounded(.up)) {
      for multiple in multiples where decades <= 3 || exponent.isMultiple(of: stride) {
        ticks.append(multiple * pow(10, Double(exponent)))
      }
    }
    return ticks.filter { $0 >= low && $0 <= high }
  }
}
