/// A number that may be infinite, which JSON cannot say: its key is left out then, and an absent key
/// is read as infinity.
@propertyWrapper
package struct FiniteOrAbsent: Codable, Sendable, Equatable {
  package var wrappedValue: Double

  package init(wrappedValue: Double) {
    self.wrappedValue = wrappedValue
  }
}

// The compiler's own encoding of a structure calls these for its properties of this type.

extension KeyedEncodingContainer {
  mutating func encode(_ value: FiniteOrAbsent, forKey key: Key) throws {
    if value.wrappedValue.isFinite { try encode(value.wrappedValue, forKey: key) }
  }
}

extension KeyedDecodingContainer {
  func decode(_ type: FiniteOrAbsent.Type, forKey key: Key) throws -> FiniteOrAbsent {
    FiniteOrAbsent(wrappedValue: try decodeIfPresent(Double.self, forKey: key) ?? .infinity)
  }
}
