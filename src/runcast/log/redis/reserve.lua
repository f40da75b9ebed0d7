-- Reserves positions for commits in several partitions; the counter is in partition 0. ARGV: epoch, now, how many.
-- Returns the first of them. The counter of a server that may have lost some goes on far behind them.
if not begin(ARGV[1], ARGV[2], true) then return gone() end
if changed then call('HINCRBY', KEYS[1], 'reserved', NEW_SERVER_GAP) end
return call('HINCRBY', KEYS[1], 'reserved', ARGV[3]) - tonumber(ARGV[3]) + 1
