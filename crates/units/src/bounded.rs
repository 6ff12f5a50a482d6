//! Containers with a fixed maximum size.

/// A last-in, first-out store of at most `limit` items. Push and pop are O(1); removing an older item is O(n).
#[derive(Debug)]
pub struct BoundedStack<T> {
    items: Vec<T>,
    limit: usize,
}

impl<T> BoundedStack<T> {
    /// An empty stack that holds at most `limit` items. Allocates nothing until the first push.
    pub const fn new(limit: usize) -> Self {
        BoundedStack {
            items: Vec::new(),
            limit,
        }
    }

    /// Pushes `item`; returns it if the stack is full.
    pub fn push(&mut self, item: T) -> Result<(), T> {
        if self.items.len() >= self.limit {
            return Err(item);
        }
        self.items.push(item);
        Ok(())
    }

    /// Pops the item that was pushed last.
    pub fn pop(&mut self) -> Option<T> {
        self.items.pop()
    }

    /// Takes the topmost item for which `fits` holds. The others keep their order. O(1) if it is the top, otherwise
    /// O(n).
    pub fn pop_where(&mut self, fits: impl FnMut(&T) -> bool) -> Option<T> {
        let at = self.items.iter().rposition(fits)?;
        Some(self.items.remove(at))
    }

    /// Keeps only the items for which `keep` holds.
    pub fn retain(&mut self, keep: impl FnMut(&mut T) -> bool) {
        self.items.retain_mut(keep);
        if self.items.is_empty() {
            self.items = Vec::new();
        }
    }

    /// Number of items.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether the stack is empty.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_stack_gives_the_item_back() {
        let mut stack = BoundedStack::new(2);
        assert_eq!(stack.push(1), Ok(()));
        assert_eq!(stack.push(2), Ok(()));
        assert_eq!(stack.push(3), Err(3));
        assert_eq!(stack.pop_where(|&item| item == 1), Some(1));
        assert_eq!(stack.pop_where(|&item| item == 1), None);
        assert_eq!(stack.pop(), Some(2));
        stack.retain(|_| false);
        assert!(stack.is_empty());
    }
}
