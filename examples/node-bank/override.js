// override replaces a method; change gets the original, `this` and its arguments.
export function override(type, name, change) {
  const original = type.prototype[name];
  type.prototype[name] = function (...args) {
    return change.call(this, original.bind(this), ...args);
  };
}
