"""Documents that nothing was mended by: written after the search had learnt from those that were held out.

Whoever mends the search by what falls here writes another set beside it, and says so in the README.
"""

import random
from typing import Final

from benchmarks.evidence.corpus import Document
from benchmarks.evidence.held_out import EACH, Write, digits, grouped, iso, know, mark, random_day, read

_SV: Final = "januari februari mars april maj juni juli augusti september oktober november december".split()
_NL: Final = "januari februari maart april mei juni juli augustus september oktober november december".split()
_PL: Final = "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia".split()
_TR: Final = "Ocak Şubat Mart Nisan Mayıs Haziran Temmuz Ağustos Eylül Ekim Kasım Aralık".split()
_CS: Final = "ledna února března dubna května června července srpna září října listopadu prosince".split()
_EL: Final = "Ιανουαρίου Φεβρουαρίου Μαρτίου Απριλίου Μαΐου Ιουνίου Ιουλίου Αυγούστου Σεπτεμβρίου Οκτωβρίου Νοεμβρίου Δεκεμβρίου".split()
_PT: Final = (
    "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro".split()
)
_IT: Final = (
    "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre".split()
)
_ID: Final = "Januari Februari Maret April Mei Juni Juli Agustus September Oktober November Desember".split()
_UK: Final = "січня лютого березня квітня травня червня липня серпня вересня жовтня листопада грудня".split()
_FA: Final = "فروردین اردیبهشت خرداد تیر مرداد شهریور مهر آبان آذر دی بهمن اسفند".split()
_BN: Final = "জানুয়ারি ফেব্রুয়ারি মার্চ এপ্রিল মে জুন জুলাই আগস্ট সেপ্টেম্বর অক্টোবর নভেম্বর ডিসেম্বর".split()
_EN: Final = "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC".split()


def _swedish(chance: random.Random) -> str:
    day, ore = random_day(chance), chance.randint(101_01, 900_000)
    return (
        f"Fakturanr {mark('number', chance.randint(10_000, 99_999))}  den {mark('issued', iso(day), f'{day[2]} {_SV[day[1] - 1]} {day[0]}')}\n"
        f"Kund: {mark('customer', 'Östgöta Båtvarv AB', 'ÖSTGÖTA BÅTVARV AB')}, org.nr {mark('org', '5560360793', '556036-0793')}\n"
        f"Att betala: {mark('total', ore / 100, grouped(ore, ' ', ':'))} {mark('currency', 'SEK', 'kr')}\n{know('ocr', '88123400', 'nowhere')}"
    )


def _dutch(chance: random.Random) -> str:
    day, cents = random_day(chance), chance.randint(1_01, 9_999)
    return (
        f"KASSABON {mark('shop', 'Bakkerij van der Veen', 'BAKKERIJ V.D. VEEN')}\n{day[2]:02}-{day[1]:02}-{day[0]} is "
        f"{mark('sold', iso(day), f'{day[2]} {_NL[day[1] - 1]} {day[0]}')} om {mark('at', '16:07', '16.07 uur')}\n"
        f"2 x {mark('item', 'Appelgebak')} à {mark('price', cents / 100, f'{cents // 100},{cents % 100:02}')}\n"
        f"PIN {mark('paid', 2 * cents / 100, f'€ {2 * cents // 100},{2 * cents % 100:02}')}\n{know('cashier', 'Wouter Prins', 'nowhere')}"
    )


def _polish(chance: random.Random) -> str:
    day, zl = random_day(chance), chance.randint(101, 9_999)
    return (
        f"Warszawa, {mark('written', iso(day), f'{day[2]} {_PL[day[1] - 1]} {day[0]} r.')}\nSzanowny Panie {mark('addressee', 'Jan Kowalski', 'Janie Kowalski')},\n"
        f"w imieniu {mark('sender', 'Anna Nowak', 'Anny Nowak')} proszę o zapłatę kwoty {mark('sum', zl, f'{zl} zł 00 gr')} na rachunek "
        f"{mark('account', 'PL61109010140000071219812874', '61 1090 1014 0000 0712 1981 2874')}.\n{know('lawyer', 'Zbigniew Wróbel', 'nowhere')}"
    )


def _turkish(chance: random.Random) -> str:
    day, lira = random_day(chance), chance.randint(101_01, 900_000)
    return (
        f"SÖZLEŞME NO: {mark('number', f'TR-{chance.randint(100, 999)}')}\nTaraflar: {mark('first', 'İstanbul Işık A.Ş.', 'İSTANBUL IŞIK A.Ş.')} ile "
        f"{mark('second', 'Ayşe Yıldız', 'Sayın Ayşe YILDIZ')}\nTarih: {mark('signed', iso(day), f'{day[2]} {_TR[day[1] - 1]} {day[0]}')}\n"
        f"Bedel: {mark('value', lira / 100, grouped(lira, '.', ','))} {mark('currency', 'TRY', '₺')} ({mark('city', 'İzmir', 'İzmir’de')})\n{know('notary', 'Noter 14 Beşiktaş', 'nowhere')}"
    )


def _czech(chance: random.Random) -> str:
    day, crowns = random_day(chance), chance.randint(1_000, 99_999)
    return (
        f"V Praze dne {mark('signed', iso(day), f'{day[2]}. {_CS[day[1] - 1]} {day[0]}')}\nProdávající: {mark('seller', 'Jiří Dvořák')}, nar. {mark('born', f'{day[0] - 40}-03-05', f'5.3.{day[0] - 40}')}\n"
        f"Cena: {mark('price', crowns, f'{crowns:,},-'.replace(',', ' ', 1) if crowns > 999 else str(crowns))} {mark('currency', 'CZK', 'Kč')}\nSPZ {mark('plate', '1AB2345', '1AB 2345')}\n{know('witness', 'Radek Šimek', 'nowhere')}"
    )


def _greek(chance: random.Random) -> str:
    day, cents = random_day(chance), chance.randint(101_01, 900_000)
    return (
        f"ΤΙΜΟΛΟΓΙΟ {mark('number', f'Α{chance.randint(100, 999)}')}\nΗμερομηνία: {mark('issued', iso(day), f'{day[2]} {_EL[day[1] - 1]} {day[0]}')}\n"
        f"Πελάτης: {mark('customer', 'Γιώργος Παπαδόπουλος', 'ΓΙΩΡΓΟΣ ΠΑΠΑΔΟΠΟΥΛΟΣ')}\nΣύνολο {mark('total', cents / 100, grouped(cents, '.', ',') + ' €')}, {mark('city', 'Θεσσαλονίκη', 'Θεσσαλονίκης')}\n{know('agent', 'Ελένη Σταύρου', 'nowhere')}"
    )


def _brazilian(chance: random.Random) -> str:
    day, cents = random_day(chance), chance.randint(101_01, 900_000)
    return (
        f"RECIBO\nRecebi de {mark('payer', 'José da Conceição', 'JOSE DA CONCEICAO')} (CPF {mark('cpf', '39053344705', '390.533.447-05')}) a importância de "
        f"R$ {mark('amount', cents / 100, grouped(cents, '.', ','))}\nSão Paulo, {mark('date', iso(day), f'{day[2]} de {_PT[day[1] - 1]} de {day[0]}')}, às {mark('time', '14:30', '14h30min')}\n{know('bank', 'Banco Aurora', 'nowhere')}"
    )


def _italian(chance: random.Random) -> str:
    day, cents = random_day(chance), chance.randint(101_01, 900_000)
    return (
        f"Spett.le {mark('company', 'Fratelli Rossi S.r.l.', 'F.lli Rossi S.r.l.')}\nOggetto: ordine n° {mark('order', chance.randint(100, 999))} del {mark('ordered', iso(day), f'{day[2]} {_IT[day[1] - 1]} {day[0]}')}\n"
        f"Importo: euro {mark('total', cents / 100, grouped(cents, '.', ','))}; acconto del trenta per cento ({mark('advance_percent', 30)}%)\nResp.: {mark('contact', 'Giulia Bianchi', 'dott.ssa Giulia BIANCHI')}\n{know('carrier', 'Corriere Lupo', 'nowhere')}"
    )


def _vietnamese(chance: random.Random) -> str:
    day, dong = random_day(chance), chance.randint(100, 9_999) * 1000
    return (
        f"HÓA ĐƠN số {mark('number', f'HD{chance.randint(1000, 9999)}')}\nNgày {mark('issued', iso(day), f'{day[2]} tháng {day[1]} năm {day[0]}')}\nKhách hàng: {mark('customer', 'Nguyễn Thị Hương', 'NGUYỄN THỊ HƯƠNG')}\n"
        f"Tổng cộng: {mark('total', dong, f'{dong:,}'.replace(',', '.') + 'đ')} ({mark('millions', 2_500_000, '2,5 triệu')} đặt cọc)\n{know('manager', 'Trần Văn Bảy', 'nowhere')}"
    )


def _indonesian(chance: random.Random) -> str:
    day, rupiah = random_day(chance), chance.randint(100, 9_999) * 1000
    return (
        f"Jakarta, {mark('written', iso(day), f'{day[2]} {_ID[day[1] - 1]} {day[0]}')}\nKepada Yth. Bapak {mark('to', 'Budi Santoso', 'BUDI SANTOSO, S.H.')}\n"
        f"Nilai: {mark('value', rupiah, f'Rp{rupiah:,}'.replace(',', '.') + ',00')} · Anggaran {mark('budget', 3_500_000, '3,5 juta')}\nHP {mark('phone', '+6281255501427', '0812-5550-1427')}\n{know('clerk', 'Dewi Lestari', 'nowhere')}"
    )


def _ukrainian(chance: random.Random) -> str:
    day, kop = random_day(chance), chance.randint(101_01, 900_000)
    return (
        f"ДОГОВІР від «{mark('signed', iso(day), f'{day[2]:02}» {_UK[day[1] - 1]} {day[0]}')} р.\nмж {mark('seller', 'ТОВ «Світанок»')} та {mark('buyer', 'Олена Шевченко', 'Оленою Шевченко')}\n"
        f"Ціна: {mark('price', kop / 100, f'{grouped(kop, chr(160), chr(44))[:-3]} грн {kop % 100:02} коп.')}\nм. {mark('city', 'Львів', 'Львові')}\n{know('broker', 'Тарас Гнатюк', 'nowhere')}"
    )


def _persian(chance: random.Random) -> str:
    rial, number = chance.randint(1_000, 99_999) * 1000, chance.randint(1000, 9999)
    return (
        f"شماره: {mark('number', number, digits(str(number), '۰'))}\nنام: {mark('name', 'علی رضایی', 'علی‌ رضائی')}\nمبلغ: {mark('amount', rial, digits(f'{rial:,}'.replace(',', '٬'), '۰'))} ریال\n"
        f"تاریخ: {digits('12', '۰')} {_FA[chance.randint(0, 11)]}\nشهر {mark('city', 'اصفهان')} تلفن {mark('phone', '031-3355', digits('031-3355', '۰'))}\n{know('agent', 'مریم کریمی', 'nowhere')}"
    )


def _bengali(chance: random.Random) -> str:
    day, taka = random_day(chance), chance.randint(1_000, 9_999)
    return (
        f"রসিদ নং {mark('number', taka - 7, digits(str(taka - 7), '০'))}\nতারিখ: {mark('issued', iso(day), digits(f'{day[2]} {_BN[day[1] - 1]} {day[0]}', '০'))}\n"
        f"নাম: {mark('name', 'রহিমা খাতুন', 'শ্রীমতী রহিমা খাতুন')}\nমোট: {mark('total', taka, digits(f'{taka:,}', '০') + ' টাকা')}\n{know('branch', 'শাখা ধানমন্ডি', 'nowhere')}"
    )


def _yaml(chance: random.Random) -> str:
    port, size = chance.randint(1024, 9999), chance.randint(2, 64)
    return (
        f'service:\n  name: &n {mark("name", "billing-gateway")}\n  image: "registry.example/{mark("image", "billing")}:{mark("version", "2.14.1")}"\n'
        f"  port: {mark('port', port, f'{port:_}')}\n  memory: {mark('memory_bytes', size * 1024 * 1024, f'{size}Mi')}\n  timeout: {mark('timeout_seconds', 90, '1m30s')}\n"
        f"  tls: {mark('tls', 'enabled', 'Enabled')}\n{know('owner', 'team-osprey', 'nowhere')}"
    )


def _xml(chance: random.Random) -> str:
    day, cents = random_day(chance), chance.randint(101_01, 900_000)
    return (
        f"<Invoice><cbc:ID>{mark('number', f'X{chance.randint(100, 999)}')}</cbc:ID><cbc:IssueDate>{mark('issued', iso(day), f'{iso(day)}+01:00')}</cbc:IssueDate>"
        f"<cac:Party name='{mark('seller', 'O’Neill & Daughters', 'O&#x2019;Neill &amp; Daughters')}'/><![CDATA[{mark('note', 'Pay <now>, please', 'Pay <now>, please')}]]>"
        f'<cbc:Amount currencyID="{mark("currency", "EUR")}">{mark("total", cents / 100, f"{cents / 100:.4f}")}</cbc:Amount></Invoice>\n{know("buyer", "Quill Brothers", "nowhere")}'
    )


def _latex(chance: random.Random) -> str:
    tenths, count = chance.randint(11, 99), chance.randint(1_000, 9_999)
    return (
        f"\\title{{{mark('title', 'On the Müller–Frey effect', chr(92) + 'emph{On the M' + chr(92) + chr(34) + '{u}ller--Frey effect}')}}}\n"
        f"\\author{{{mark('author', 'Émile Renoud', chr(92) + chr(39) + 'Emile Renoud')}}}\nWe measured $N={mark('n', count, f'{count // 1000}{chr(92)},{count % 1000:03}')}$ samples at "
        f"\\SI{{{mark('temperature', tenths / 10, f'{tenths / 10}')}}}{{\\celsius}} with $p<{mark('p', 0.001, '10^{-3}')}$.\n{know('journal', 'Acta Obscura', 'nowhere')}"
    )


def _itinerary(chance: random.Random) -> str:
    day, hour = random_day(chance), chance.randint(13, 22)
    return (
        f"{mark('passenger', 'Sofia Lindgren', 'LINDGREN/SOFIA MS')}  PNR {mark('pnr', 'Q7X4ZB')}\n{mark('flight', 'LH1234', 'LH 1234')}  {mark('date', iso(day), f'{day[2]}{_EN[day[1] - 1]}{day[0] % 100}')}  "
        f"{mark('from', 'FRA')} {mark('departs', f'{hour}:05', f'{hour}05')}  {mark('to', 'ARN')} {mark('arrives', f'{hour + 1}:55', f'{hour + 1}55')}\nBAG 1PC {mark('bag_kg', 23)}KG  SEAT {mark('seat', '14C')}\n{know('meal', 'vegetarian', 'nowhere')}"
    )


def _recipe(chance: random.Random) -> str:
    people = chance.choice((("four", 4), ("six", 6), ("eight", 8)))
    return (
        f"## {mark('name', 'Grandmother’s Apple Cake', 'Grandmother' + chr(39) + 's Apple Cake')}\nServes {mark('serves', people[1], people[0])} · {mark('minutes', 90, '1½ hours')}\n\n- {mark('flour_cups', 2.5, '2½')} cups flour\n"
        f"- {mark('sugar_cups', 0.75, '¾')} cup sugar\n- {mark('eggs', 3, 'three')} eggs\n- a pinch of {mark('spice', 'cinnamon')}\nBake at {mark('celsius', 180, '180°C')} (350 °F).\n{know('chef', 'Bettina Krumm', 'nowhere')}"
    )


def _match(chance: random.Random) -> str:
    home, away, crowd = chance.randint(2, 5), chance.randint(0, 1), chance.randint(10_000, 60_000)
    return (
        f"FT: {mark('home', 'Port Merrow Rovers', 'Port Merrow Rovers FC')} {mark('home_goals', home, str(home))}–{mark('away_goals', away, str(away))} {mark('away', 'Naxos United', 'Naxos Utd')}\n"
        f"Goals: {mark('scorer', 'Okonkwo', 'OKONKWO')} {mark('minute', 47, '45+2’')}\nAtt: {mark('attendance', crowd, f'{crowd:,}')} | Ref: {mark('referee', 'J. van Dijk', 'van Dijk, J.')}\n{know('coach', 'Emil Brandt', 'nowhere')}"
    )


def _prescription(chance: random.Random) -> str:
    day, dose = random_day(chance), chance.choice((250, 500, 850))
    return (
        f"Rx  {mark('patient', 'Thomas O’Brien', 'Mr Thos. O' + chr(39) + 'Brien')}  DOB {mark('born', f'{day[0] - 50}-{day[1]:02}-{day[2]}', f'{day[1]}/{day[2]}/{day[0] - 50}')}\n"
        f"{mark('drug', 'metformin')} {mark('dose_mg', dose, f'{dose}mg')} tab, {mark('per_day', 2, 'twice')} daily c meals\nDisp: #{mark('count', 60)}  Refills: {mark('refills', 0, 'none')}\n"
        f"Allergies: {mark('allergy', 'penicillin', 'PENICILLINS')}\n{know('pharmacy', 'Corner Apothecary', 'nowhere')}"
    )


_KINDS: Final[dict[str, Write]] = {
    "Swedish invoice": _swedish,
    "Dutch receipt": _dutch,
    "Polish letter": _polish,
    "Turkish contract": _turkish,
    "Czech contract": _czech,
    "Greek invoice": _greek,
    "Brazilian receipt": _brazilian,
    "Italian order": _italian,
    "Vietnamese invoice": _vietnamese,
    "Indonesian letter": _indonesian,
    "Ukrainian contract": _ukrainian,
    "Persian slip": _persian,
    "Bengali receipt": _bengali,
    "YAML": _yaml,
    "XML": _xml,
    "LaTeX": _latex,
    "itinerary": _itinerary,
    "recipe": _recipe,
    "match report": _match,
    "prescription": _prescription,
}


def unseen(seed: int = 20261130) -> list[Document]:
    """Return the documents: each kind three times, with other figures and dates."""
    names = [(kind, f"{kind}-{number}") for kind in _KINDS for number in range(EACH)]
    return [read(name, _KINDS[kind](random.Random(f"{seed} {name}"))) for kind, name in names]
